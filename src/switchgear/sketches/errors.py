"""What can go wrong with sketches. A call never fails of it.

::

    SketchError
    ├── CannotSketch     a body that no sketch can be made of, or whose sketch would have held some of it
    ├── ForeignFile      the file is something else, or a newer version made it
    ├── StoreFailing     the file cannot be opened or written now
    └── NoSketch         there is none with this id, or several begin with it
"""

from switchgear.core.errors import SwitchgearError


class SketchError(SwitchgearError):
    """The root of this room's errors."""

    code = "sketch_error"


class CannotSketch(SketchError):
    code = "cannot_sketch"


class ForeignFile(SketchError):
    code = "foreign_sketches"


class StoreFailing(SketchError):
    code = "sketches_failing"


class NoSketch(SketchError):
    code = "no_sketch"
