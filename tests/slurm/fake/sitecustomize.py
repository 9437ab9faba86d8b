"""Replaces MediaPipe by a pause and made-up points, in every process that a test of the cluster starts.

FAKE_SECONDS: how long a video takes. FAKE_LOG: a line is added for every video that was begun.
FAKE_IMAGE: a file in an image of which a page is needed now and then, as of the program itself.
"""

import os
import time

if "FAKE_IMAGE" in os.environ:
    import mmap
    import threading

    def _need_pages():
        with open(os.environ["FAKE_IMAGE"], "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        pages.madvise(mmap.MADV_RANDOM)  # nothing is read ahead
        for offset in range(0, len(pages), mmap.PAGESIZE):
            pages[offset]
            time.sleep(0.02)

    threading.Thread(target=_need_pages, daemon=True).start()

if "FAKE_SECONDS" in os.environ:
    from contextlib import nullcontext

    import numpy as np

    from kpsbatch.landmarks.extract import VideoKeypoints
    from kpsbatch.landmarks.facts import VideoFacts, WorkSeconds
    from kpsbatch.work.video_job import VideoJob

    def _open(self):
        pass

    def _do(self, task, heartbeat):
        seconds = float(os.environ["FAKE_SECONDS"])
        made = []
        for video in task.videos:
            with open(os.environ["FAKE_LOG"], "a") as log:
                log.write(f"{task.unit.name}/{video.name}\n")
            time.sleep(seconds)
            points = np.full((2, 184, 4), task.unit.sign, np.float32)
            made.append(VideoKeypoints(points, VideoFacts(frames=2, seconds=WorkSeconds(total=seconds))))
        return made

    VideoJob.open, VideoJob.do, VideoJob.prepared = _open, _do, nullcontext
