"""What others may have made is checked before anything in it is loaded.

Only regular files are read, only below the folder that was named, only JSON of a bounded size and safetensors whose
header agrees with the file. Nothing here needs torch, and nothing here runs what it reads.
"""

from welltuned.opening.documents import bounded, parsed, require_no_code
from welltuned.opening.files import below, require_regular
from welltuned.opening.manifest import MANIFEST, require_as_written, write_manifest
from welltuned.opening.models import require_own_model, require_readable_model
from welltuned.opening.tensors import shapes_of

__all__ = [
    "MANIFEST", "below", "bounded", "parsed", "require_as_written", "require_no_code", "require_own_model",
    "require_readable_model", "require_regular", "shapes_of", "write_manifest",
]  # fmt: skip
