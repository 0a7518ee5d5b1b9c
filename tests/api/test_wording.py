"""Messages as Python's users read them."""

from __future__ import annotations

import pytest

from nas.api.wording import in_python, in_words_of_python
from nas.errors import DataError, RunError, SearchStopped


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--min-params 10,000 is more than --max-params 5k:", 'min_params=10000 is more than max_params="5k":'),
        ("--trials 'x' cannot be used: give a number.", "trials='x' cannot be used: give a number."),
        ("--epochs '0' cannot be used", "epochs=0 cannot be used"),
        ("--max-params: 'many' is not a size", "max_params: 'many' is not a size"),
        ("rank more in a new search: --candidates 5.", "rank more in a new search: candidates=5."),
        ("Choose --regularizer none, or --strategy evolution.", 'Choose regularizer="none", or strategy="evolution".'),
        ("--confirm-epochs is how long; --confirm 0 leaves", "confirm_epochs is how long; confirm=0 leaves"),
        ("--grey and --colour exclude each other", "grey=True and colour=True exclude each other"),
        ("add --no-prune, --train-on-all or --no-floor", "add prune=False, hold_out=False or no_floor=True"),
        ("on the CPU; use --workers instead.", "on the CPU; use workers instead."),
        ("--regularizer-weight belongs to --regularizer NAME,", "regularizer_weight belongs to regularizer=NAME,"),
        ("--device cpu, --device cuda:0.", 'device="cpu", device="cuda:0".'),
        ("--data ./cifar, or --data labels.csv.", 'data="./cifar", or data="labels.csv".'),
        ("a table: --columns split=)", 'a table: columns="split=")'),
        ("'nasctl status --run x' lists them.", "'nasctl status --run x' lists them."),
        ("To resume: nasctl resume x. Or another --run.", 'To resume: nas.load_run("x").resume(). Or another run.'),
        (
            "nasctl resume x --runs '/my runs' --time-limit 30m --trials 9",
            'nas.load_run("x", runs="/my runs").resume(time_limit="30m", trials=9)',
        ),
        (
            "(nasctl search --space vgg --no-prune --run x --runs /a ...).",
            '(nas.search("vgg", prune=False, run="x", ..., runs="/a")).',
        ),
        ("nasctl baseline run losses --arch x:1", 'nas.baseline("losses", arch="x:1")'),
        ("see nasctl baseline run classical", "see nas.classical()"),
        ("continue by nasctl resume.", "continue by nasctl resume."),
    ],
)
def test_flags_become_keywords_and_commands_calls(typed: str, said: str) -> None:
    assert in_words_of_python(typed) == said
    assert in_words_of_python(said) == said


def test_errors_keep_their_kind_and_say_their_setting() -> None:
    with pytest.raises(DataError) as refused, in_python({"data": "x"}), in_python():  # the inner one speaks already
        raise DataError("Images differ in size: --image-size 32.", "There are none.", "There is no loss 'y'.")
    assert [name for name, _ in refused.value.errors] == ["image_size", "data", "data"]
    assert refused.value.messages[0] == "Images differ in size: image_size=32."
    with pytest.raises(RunError) as refused, in_python({"name": "a-2"}):
        raise RunError("There is no run 'a-2'.", "There is no loss 'y'.", "There is nothing.")
    assert [name for name, _ in refused.value.errors] == ["name", "loss", ""]
    with pytest.raises(SearchStopped, match=r'nas\.load_run\("a"\)\.resume\(\)'), in_python():
        raise SearchStopped("Stopped. To resume: nasctl resume a")
