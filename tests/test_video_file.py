"""Video files."""

from __future__ import annotations


class TestFile:
    def test_frames_and_times(self, tmp_path):
        """A video file gives its frames in order, in RGB, with its own times."""
        frames = read(write_mp4(tmp_path / "a clip (1).mp4", COLOURS, rate=10.0), frame_rate=99.0)
        assert [frame.timestamp for frame in frames] == [0, 100, 200, 300, 400]
        for frame, colour in zip(frames, COLOURS, strict=True):
            assert frame.image.shape == (48, 64, 3)
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(0), colour, atol=6)

    def test_one_frame(self, tmp_path):
        """A video file of one frame is a video."""
        [frame] = read(write_mp4(tmp_path / "clip.mp4", COLOURS[:1]))
        assert (frame.timestamp, frame.problem) == (0, "")

    @pytest.mark.parametrize("data", [b"", b"no video", bytes(10_000)])
    def test_no_video(self, tmp_path, data):
        """A file that FFmpeg can't open is refused by name."""
        (tmp_path / "clip.mp4").write_bytes(data)
        with pytest.raises(DatasetError, match=r"readable by FFmpeg: .*clip\.mp4 can't be opened"):
            read(tmp_path / "clip.mp4")

    def test_missing_index(self, tmp_path):
        """An mp4 that was cut off before its index can't be opened."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 4)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DatasetError, match="can't be opened"):
            read(path)

    def test_damaged_media(self, tmp_path):
        """An mp4 whose media data is zeroed never passes for a whole one."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 4)
        data = bytearray(path.read_bytes())
        start = data.index(b"mdat") + 4
        end = data.index(b"moov", start) - 4
        data[start:end] = bytes(end - start)
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"must hold readable frames|must be whole"):
            read(path)

    def test_too_large(self, tmp_path):
        """A video file with frames above max_pixels is refused before decoding."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS)
        with pytest.raises(DatasetError, match=r"at most run\.max_pixels \(3071\): .* has 64x48"):
            read(path, max_pixels=64 * 48 - 1)

    def test_rising_times(self, tmp_path):
        """Times rise strictly, whatever the file says."""
        times = [frame.timestamp for frame in read(write_mp4(tmp_path / "clip.mp4", COLOURS * 6, rate=999.0))]
        assert times == sorted(set(times))
