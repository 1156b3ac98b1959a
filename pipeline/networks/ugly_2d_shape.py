"""What the ugly-2D gate's network looks at; by itself, so that nobody loads PyTorch for four numbers."""

FRAMES = 5  # a window
CROP = 48  # pixels, square
POSE = 40  # 13 joints x (x, y, confidence) and the share of joints inside the picture
MOTION = 26  # how far each joint moved since the frame before, x and y
