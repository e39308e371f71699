"""A cross-validation whose folds are trained on Ray."""

import numpy as np
import pytest
from support.films import TINY
from support.training import InThisProcess

from osteolens.cluster import ray_session
from osteolens.errors import DataError
from osteolens.training.config import load_configuration
from osteolens.training.cross_ray import RayExecutor
from osteolens.training.cross_validation import cross_validate
from osteolens.training.plan import plan

pytestmark = pytest.mark.slow


def test_folds_on_ray_equal_those_of_this_process_and_a_fault_is_reported_unchanged(
    settings_file, table, tmp_path, quiet
):
    settings_file.write_text(TINY.format(epochs=1).replace("validation = 0.2", "validation = 0.0"))
    config = load_configuration(settings_file)
    fold_plan = plan(config, table, folds=2, repeats=1, table=None, by_source=False)
    here = cross_validate(config, fold_plan, tmp_path / "here", jobs=2, console=quiet, executor=InThisProcess())
    with ray_session():  # one for both runs
        there = cross_validate(config, fold_plan, tmp_path / "ray", jobs=2, console=quiet, executor=RayExecutor())
        assert np.isfinite(there.logits).all()
        np.testing.assert_array_equal(there.logits, here.logits)
        tables = [(tmp_path / run / "predictions.csv").read_bytes() for run in ("here", "ray")]
        assert tables[0] == tables[1]

        (tmp_path / "ray" / "r0f1" / "answers.json").unlink()
        (tmp_path / "ray" / "r0f1" / "checkpoint.safetensors").write_bytes(b"torn")
        with pytest.raises(DataError, match=r"r0f1.*cannot be read") as caught:
            cross_validate(config, fold_plan, tmp_path / "ray", jobs=2, console=quiet, executor=RayExecutor())
        assert "Traceback" not in str(caught.value)
