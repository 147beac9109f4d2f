"""Plain papermill on ctnb's templates: the same safety and record as `ctnb run`, without --engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flow_projects as fp
import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ctnb import records, templates, verification
from ctnb.errors import CtnbError, ReviewNotCleared, StepFailed, UsageError
from ctnb.kernels.pools import KernelPool
from ctnb.records import STEPS, RunRecord
from ctnb.settings import Project


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose dataset would be released, and the working folder in it."""
    project = fp.make(tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


def execute(project: Project, step: str, notebook: Path | None = None, **parameters: Any) -> Any:
    """One step by papermill's own function, in this process."""
    path = notebook or templates.packaged(step)
    out = project.root / f"out-{step}.ipynb"
    return papermill.execute_notebook(
        str(path), str(out), parameters={"dataset": fp.SLUG, **parameters}, progress_bar=False
    )


def command(project: Project, step: str, *more: str, cwd: Path | None = None) -> fp.Done:
    """One step by papermill's command line."""
    out = str(project.root / f"out-{step}.ipynb")
    return fp.papermill(
        project, str(templates.packaged(step)), out, "-p", "dataset", fp.SLUG, *more, cwd=cwd,
        CTNB_PROJECT=str(project.root) if cwd else "",
    )  # fmt: skip


def only(project: Project) -> RunRecord:
    """The one run of the project."""
    (record,) = records.all_records(project)
    return record


# -- four calls of the command line, from another folder


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[fp.Done]]:
    """A project after papermill read, transform, privacy_review and publish, called from elsewhere."""
    project = fp.make(tmp_path_factory.mktemp("four") / "project")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return project, [command(project, step, cwd=elsewhere) for step in STEPS]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, RunRecord]:
    """The same project under `ctnb run`."""
    project = fp.make(tmp_path_factory.mktemp("one") / "project")
    with KernelPool() as pool:
        return project, fp.run(project, pool)


@pytest.mark.slow
def test_four_calls_leave_one_record_like_that_of_a_run(
    four: tuple[Project, list[fp.Done]], one: tuple[Project, RunRecord]
) -> None:
    """Every code is 0, the run is released, and its facts are those of `ctnb run`."""
    project, done = four
    assert [call.code for call in done] == [0, 0, 0, 0], done[-1].err
    made, like = only(project), one[1]
    assert (made.status, made.how, made.exit_code) == ("released", "papermill", 0)
    assert [step.status for step in made.steps] == ["completed"] * 4
    assert made.release and like.release
    assert made.release.digest == like.release.digest
    for part in ("rows_read", "rows_kept", "rows_rejected", "rejects", "columns"):
        assert getattr(made.read, part) == getattr(like.read, part)
    assert made.transform == like.transform
    names = sorted(path.name for path in fp.place(project, made).iterdir())
    assert names == sorted(path.name for path in fp.place(*one).iterdir())
    assert verification.verify(project).faults == ()


@pytest.mark.slow
def test_papermills_own_output_is_the_record_s_notebook(four: tuple[Project, list[fp.Done]]) -> None:
    """Every call left out.ipynb whole, with the same cells and statuses as the record, and no canary."""
    project, _ = four
    made = only(project)
    for step in made.steps:
        ours = nbformat.read(fp.place(project, made) / step.notebook, 4)
        theirs = nbformat.read(project.root / f"out-{step.step}.ipynb", 4)
        nbformat.validate(theirs)
        assert [cell.source for cell in theirs.cells] == [cell.source for cell in ours.cells]
        said = [c.metadata.papermill.status for c in theirs.cells if c.cell_type == "code"]
        assert said == ["completed"] * len(said)


@pytest.mark.slow
def test_the_command_line_ends_with_true_codes_and_quotes_nothing(visits: Project) -> None:
    """Failed data is 6, a failing cell 7, a review that blocks 1; stdout and stderr hold no cell."""
    fp.edited(visits, "read", "frame = table.df()", "raise ValueError(frame.person.iloc[0])")
    own = str(visits.notebooks / fp.SLUG / "read.ipynb")
    raised = fp.papermill(visits, own, str(visits.root / "out.ipynb"))
    assert raised.code == 7
    assert [text for text in fp.CANARIES if text in raised.out + raised.err] == []
    assert "raised ValueError" in raised.err
    assert "Traceback" not in raised.err
    said = nbformat.read(visits.root / "out.ipynb", 4)
    assert [c.metadata.papermill.status for c in said.cells if c.cell_type == "code"][-2:] == [
        "failed", "pending"
    ]  # fmt: skip
    fp.change(visits, "data/visits.csv", ",20,", f",{fp.BAD_AGE},")
    rejected = command(visits, "read")
    assert rejected.code == 6
    assert [text for text in fp.CANARIES if text in rejected.out + rejected.err] == []
    assert [record.status for record in records.all_records(visits)] == ["failed", "failed"]
    assert verification.verify(visits).faults == ()


# -- the same in this process


def test_a_blocked_review_ends_its_call_with_1_and_publishing_is_refused(visits: Project) -> None:
    """The record is blocked; no kernel starts to publish."""
    fp.publish_people(visits)
    execute(visits, "read")
    execute(visits, "transform")
    with pytest.raises(ReviewNotCleared) as held:
        execute(visits, "privacy_review")
    assert held.value.exit_code == 1
    assert (only(visits).status, only(visits).exit_code) == ("blocked", 1)
    with pytest.raises(UsageError, match="no open run"):
        execute(visits, "publish")
    assert verification.verify(visits).faults == ()


@pytest.mark.slow
def test_a_waiting_review_goes_on_after_a_decision(visits: Project) -> None:
    """Code 1 until somebody decides; then the publish notebook joins the same run."""
    from ctnb import deciding

    project = fp.make(visits.root / "inner", small=True)
    path = str(project.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        execute(project, "read")
        execute(project, "transform")
        with pytest.raises(ReviewNotCleared):
            execute(project, "privacy_review")
        assert only(project).status == "waiting"
        with pytest.raises(ReviewNotCleared):
            execute(project, "publish")
        assert (only(project).status, len(only(project).steps)) == ("waiting", 3)
        deciding.decide(project, only(project).run, "approve", reason="Withheld counts cannot be worked out")
        execute(project, "publish")
    assert only(project).status == "released"
    assert verification.verify(project).faults == ()


@pytest.mark.parametrize("step", ["transform", "privacy_review", "publish"])
def test_a_step_out_of_order_is_refused_and_the_run_stays_open(visits: Project, step: str) -> None:
    """A clear word before a kernel starts; nothing is recorded of the attempt."""
    with pytest.raises(UsageError, match=f"no open run of {fp.SLUG}"):
        execute(visits, step)
    execute(visits, "read")
    if step == "transform":
        return
    with pytest.raises(UsageError, match="has not done transform yet"):
        execute(visits, step)
    assert (only(visits).status, [one.step for one in only(visits).steps]) == ("open", ["read"])
    execute(visits, "transform")
    assert [one.step for one in only(visits).steps] == ["read", "transform"]


@pytest.mark.slow
def test_reading_again_starts_a_new_run_and_ends_the_open_one(visits: Project) -> None:
    """An open run that nobody went on with is interrupted, sealed, and says why."""
    execute(visits, "read")
    execute(visits, "read")
    first, second = records.all_records(visits)
    assert (first.status, second.status) == ("interrupted", "open")
    assert first.reason == "A newer run of the dataset began."
    assert verification.verify(visits).faults == ()


def test_a_step_done_again_takes_what_came_after_it_back(visits: Project) -> None:
    """Reading anew within a run: its transform and review are of another table and do not count."""
    execute(visits, "read")
    execute(visits, "transform")
    fp.write_people(visits, fp.people(rows=24))
    execute(visits, "read", run=only(visits).run)
    record = only(visits)
    assert [one.step for one in record.steps] == ["read"]
    assert (record.read and record.read.rows_kept, record.transform) == (24, None)
    with pytest.raises(UsageError, match="has not done transform yet"):
        execute(visits, "privacy_review")


def test_a_notebook_that_lost_its_closing_cell_fails(visits: Project) -> None:
    """An edited step without ctnb.done has no result; the call ends with 7."""
    path = fp.edited(visits, "read", drop="ctnb.done")
    with pytest.raises(StepFailed, match="without closing") as failed:
        execute(visits, "read", path)
    assert failed.value.exit_code == 7
    assert only(visits).status == "failed"


def test_an_expected_exception_does_not_fail_the_call(visits: Project) -> None:
    """papermill raises for any error output it sees; the supervisor has judged this one."""
    path = fp.edited(visits, "read", "1 / 0")
    told = json.loads(path.read_text())
    next(c for c in told["cells"] if c["source"] == "1 / 0")["metadata"]["tags"] = ["raises-exception"]
    path.write_text(json.dumps(told))
    made = execute(visits, "read", path)
    assert "ZeroDivisionError was raised, as the cell expects" in json.dumps(made)
    assert only(visits).status == "open"


def test_another_notebook_runs_as_papermill_always_did(visits: Project, tmp_path: Path) -> None:
    """No metadata.ctnb: parameters are papermill's generated code, nothing is recorded."""
    nb = new_notebook(
        cells=[
            new_code_cell("word = 'no'", metadata={"tags": ["parameters"]}),
            new_code_cell("print(word, 'Zyxwyn Quillfeatherax')"),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(nb, tmp_path / "other.ipynb")
    made = papermill.execute_notebook(
        str(tmp_path / "other.ipynb"), str(tmp_path / "out.ipynb"), {"word": "yes"}, progress_bar=False
    )
    assert made.cells[-1].outputs[0].text == "yes Zyxwyn Quillfeatherax\n"
    assert made.cells[1].source == '# Parameters\nword = "yes"\n'
    assert records.all_records(visits) == []
    nb.cells[1].source = "raise ValueError('mine')"
    nbformat.write(nb, tmp_path / "other.ipynb")
    with pytest.raises(papermill.PapermillExecutionError, match="mine"):
        papermill.execute_notebook(
            str(tmp_path / "other.ipynb"), str(tmp_path / "out.ipynb"), progress_bar=False
        )


# -- parameters

HOSTILE: dict[str, Any] = {
    "text": "Café ☂ 👩‍🚀 \"double\" 'single' \\n back\\slash {braces} %s $HOME `tick`",
    "lines": "one\ntwo\r\n'''three'''\n\ttab\u2028end",
    "number": float("nan"),
    "large": float("inf"),
    "listed": ["Ünïcödé", 1, None, {"deep": "ß"}],
    "mapped": {"ключ": "значение", "quote'": '"'},
}
DECLARED = (
    'text: str = ""\nlines: str = ""\nnumber: float = 0.0\nlarge: float = 0.0\nlisted: list = []\n'
    'mapped: dict = {}\nexpected: str = ""'
)
ARRIVED = """\
import json, math
from pathlib import Path
said = json.loads(Path('expected.json').read_text())
assert math.isnan(number) and large == math.inf
assert [text, lines, listed, mapped] == said"""


def test_parameters_arrive_exactly_and_stand_nowhere_in_the_record(visits: Project) -> None:
    """They travel as a JSON file: quotes, line breaks, NaN, emoji; the record keeps none of their values."""
    path = fp.edited(visits, "read", ARRIVED, parameters=DECLARED)
    said = [HOSTILE["text"], HOSTILE["lines"], HOSTILE["listed"], HOSTILE["mapped"]]
    (path.parent / "expected.json").write_text(json.dumps(said))
    made = execute(visits, "read", path, **HOSTILE)
    assert only(visits).status == "open"
    values = ["Café", "braces} %s", "'''three'''", "Ünïcödé", "значение", "ключ"]
    assert fp.found_in(visits.runs, values) == {}
    told = {"dataset": fp.SLUG, **dict.fromkeys(HOSTILE, "(given)")}
    assert dict(made.metadata.papermill.parameters) == told
    assert [value for value in values if value in json.dumps(made, ensure_ascii=False)] == []


@pytest.mark.slow
def test_parameters_of_the_command_line_arrive_exactly(visits: Project) -> None:
    """-r, -p and -y, together in one call."""
    check = "import json\nassert [text, lines, listed] == json.load(open('expected.json'))"
    path = fp.edited(visits, "read", check, parameters=DECLARED)
    (path.parent / "expected.json").write_text(json.dumps(["00917", "é\n'x'", ["☂", 1]]))
    yaml = 'lines: "é\\n\'x\'"\nlisted: ["☂", 1]\n'
    done = fp.papermill(
        visits, str(path), str(visits.root / "out.ipynb"), "-r", "text", "00917", "-y", yaml, "-p", "number", "1.5"
    )  # fmt: skip
    assert (done.code, only(visits).status) == (0, "open"), done.err
    assert fp.found_in(visits.runs, ["00917", "☂"]) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": 6103}, "must be text, and came as a whole number"),
        ({"number": "1"}, "must be a number, and came as text"),
        ({"listed": "a"}, "must be a list, and came as text"),
        ({"text": True}, "must be text, and came as true or false"),
        ({"txt": "a"}, "There is no parameter 'txt'"),
        ({"bad\nimport os": 1}, "There is no parameter"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_before_anything_is_recorded(
    visits: Project, given: dict[str, Any], said: str
) -> None:
    """The value is not quoted: a parameter may hold anything."""
    path = fp.edited(visits, "read", parameters=DECLARED)
    with pytest.raises(CtnbError, match=said) as refused:
        execute(visits, "read", path, **given)
    assert refused.value.exit_code == 2
    assert records.all_records(visits) == []
    assert not visits.ledger.exists()


def test_a_parameters_cell_with_code_in_it_is_refused(visits: Project) -> None:
    """Only literals: what is declared must be known before a kernel starts."""
    path = fp.edited(visits, "read", parameters="word: str = open('x').read()")
    with pytest.raises(UsageError, match="parameters cell cannot be read"):
        execute(visits, "read", path)
    assert records.all_records(visits) == []


@pytest.fixture(autouse=True)
def plain(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Whatever happens, nothing of the data reaches stdout or stderr of the calling process."""
    yield
    said = capfd.readouterr()
    assert [text for text in fp.CANARIES if text in said.out + said.err] == []
