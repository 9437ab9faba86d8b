"""In every process of a rehearsal: pictures are taken for poses; a log tells which video is begun, which unit stored.

REHEARSAL_LOG: lines are added to it, whole and in the order in which things happen. REHEARSAL_PACE: a file with the
seconds that a video takes.
"""

import contextlib
import os
import sys
import time


def _note(line):
    descriptor = os.open(os.environ["REHEARSAL_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _replace_landmarkers():
    from dataset import pose_of

    from kpsbatch.landmarks import landmarker
    from kpsbatch.landmarks.detectors import Detection
    from kpsbatch.work.video_job import VideoJob

    class Landmarker:
        networks = None  # frame by frame

        def __init__(self, *arguments):
            pass

        def start_video(self, height, width):
            pass

        def detect(self, image, timestamp):
            return Detection(pose_of(image[0, 0]))

        def close(self):
            pass

    do = VideoJob.do

    def noted(self, task, heartbeat):
        for video in task.videos:
            _note(f"begun {task.unit.name} {video.name}")
        with open(os.environ["REHEARSAL_PACE"]) as file:
            time.sleep(float(file.read() or 0))
        return do(self, task, heartbeat)

    landmarker.Landmarker = Landmarker
    VideoJob.do, VideoJob.prepared = noted, contextlib.nullcontext


def _note_stored():
    from kpsbatch.store.outputs import Outputs

    store = Outputs.store

    def noted(self, unit, *arguments, **options):
        stored = store(self, unit, *arguments, **options)
        if stored:
            _note(f"stored {unit.name}")
        return stored

    Outputs.store = noted


if "REHEARSAL_LOG" in os.environ:
    if "kpsbatch.work.worker" in sys.orig_argv:
        _replace_landmarkers()
    else:
        _note_stored()
