"""The tests that `make test` leaves out, by name: conftest.py gives them the marker `slow`.

A test is here where it takes longer than two seconds; a module or class where it does as a whole, and its promises are
those of special cases.
"""

from __future__ import annotations

SLOW_FOLDERS = frozenset({"container", "faults", "slurm"})
SLOW = frozenset(
    {
        "test_build.py::TestEdits",
        "test_build.py::TestTogether",
        "test_clip.py::TestOneSigner",
        "test_container_fuzz.py",
        "test_extract.py::TestCommand::test_again_and_with_settings",
        "test_extract.py::TestCommand::test_interrupted",
        "test_notebook.py::test_first_steps",
        "test_paths.py",
        "test_point_values.py",
        "test_points.py::test_from_run_to_report",
        "test_pool.py::TestFailures",
        "test_pool.py::TestMemory",
        "test_processors.py",
        "test_properties.py",
        "test_recipes.py::test_killed",
        "test_run.py::TestBadData",
        "test_run.py::TestContract::test_lists_each_video_once",
        "test_run.py::TestContract::test_shards_and_workers",
        "test_run.py::TestContract::test_two_that_do_the_same_share_it",
        "test_run.py::TestInterruption::test_signal",
        "test_run.py::TestInterruption::test_workers_are_killed",
        "test_run.py::TestOutputs::test_full_disk",
        "test_run.py::TestOutputs::test_other_settings",
        "test_run.py::TestOutputs::test_settings_that_change_no_value",
        "test_shown_code.py::test_pictures_are_made",
        "test_shown_code.py::test_readme_commands_run",
        "test_shown_code.py::test_tutorial_runs",
        "test_signer.py::TestRenderVideo",
        "test_sources_run.py",
        "test_store.py::test_two_processes",
        "test_submit.py::TestBatchShell",
        "test_submit.py::TestLocal",
        "test_truth.py",
        "test_video_corpus.py",
        "test_verify.py::test_every_corrupted_byte_is_found",
    }
)
