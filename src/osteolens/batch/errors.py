"""What can stop a batch.

OsteoLensError
└── BatchError              the call, the output folder or this machine is in the way; status 2
    ├── FolderInUse         another batch writes to this output folder
    ├── OtherBatch          the output folder holds a batch of other models or options
    ├── ModelChanged        the server answers with another model than before
    └── ServerRefuses       the server lets nobody in, or does not have the model
"""

from osteolens.errors import OsteoLensError


class BatchError(OsteoLensError):
    """A batch cannot be run, or cannot go on, until somebody mends what the message says."""


class FolderInUse(BatchError):
    """Two batches must not write to one folder."""


class OtherBatch(BatchError):
    """The output folder holds answers that were asked for in another way."""


class ModelChanged(BatchError):
    """Answers of two versions of a model must not be mixed."""


class ServerRefuses(BatchError):
    """What is wrong concerns every film: the key, the address, the model's name."""
