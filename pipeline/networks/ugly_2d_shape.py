"""What the ugly-2D gate's network looks at; by itself, so that nobody loads PyTorch for a few numbers."""

FRAMES = 5  # a window
CROP = 48  # pixels, square
CROP_MARGIN = 1.2  # side of the crop in sides of the person's box
JOINTS = 13
VECTORS = 3  # of a joint: place in the box, movement, change of movement; x and y of each
EACH = 2 * VECTORS + 3  # of a joint: those, its confidence as logit, found at all, inside the picture
BONES = 14
BODY = 2 * BONES + 3  # of a frame: lengths of bones, their unsteadiness, torso in the box, margins to the sides
POSE = JOINTS * EACH + BODY
LEVELS = (0.05, 0.075, 0.10, 0.15, 0.30)  # mean errors, in torso lengths, that the network tells apart
GOOD = LEVELS.index(0.10)
