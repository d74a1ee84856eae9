"""Whoever has trained looks at the run on one page, and compares it with another on one page."""

from tests.journeys.command import leyden


def test_a_report_about_one_run_and_about_two(tmp_path):
    for words in (["seed=1"], ["seed=2", "callbacks=[default,learning_rate_monitor]"]):
        leyden(tmp_path, "train", "trainer.max_epochs=2", "trainer.log_every_n_steps=5", *words)
    first, second = sorted((tmp_path / "runs" / "digits_mlp").iterdir())

    said = leyden(tmp_path, "report", str(first))
    both = leyden(tmp_path, "report", str(first), str(second), "--out", "both.html")

    assert said == "report  report.html\n"
    assert both == "report  both.html\n"
    page = (tmp_path / "report.html").read_text()
    for part in ("Curves", "Learning rate and throughput", "Results", "Reproduction", "Fingerprint", "Config", "Log"):
        assert f"<h2>{part}</h2>" in page
    assert 'aria-label="loss over step"' in page
    assert 'aria-label="loss of every training step over batch"' in page
    assert "not read" not in page
    compared = (tmp_path / "both.html").read_text()
    assert "2 runs of digits_mlp" in compared
    assert "lr-AdamW over step" in compared
