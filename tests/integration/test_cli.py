"""The command line as a person runs it: real processes, real models, real pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from heliograph.serving.access import Scope, create_key, parse_keys
from service import Service, start_service
from tiny_packages import source, write_package

Done: TypeAlias = subprocess.CompletedProcess[bytes]
Run: TypeAlias = Callable[..., Done]

PNG = b"\x89PNG\r\n\x1a\n"


def run_command(*arguments: str | Path, environment: Mapping[str, str], stdin: bytes = b"") -> Done:
    command = [sys.executable, "-m", "heliograph", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, input=stdin, capture_output=True, check=False, timeout=110
    )


@pytest.fixture
def run(model_settings: dict[str, str]) -> Run:
    def run_with_models(*arguments: str | Path, stdin: bytes = b"", **settings: str) -> Done:
        return run_command(*arguments, environment={**model_settings, **settings}, stdin=stdin)

    return run_with_models


@pytest.fixture
def broken(tmp_path: Path, samples: Path) -> Path:
    path = tmp_path / "broken.png"
    path.write_bytes((samples / "cat.png").read_bytes()[:5000])
    return path


def test_classify_answers_every_picture_and_tells_the_one_that_fails(
    run: Run, samples: Path, broken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("coffee.png", "rocket.jpg"):
        (folder / name).write_bytes((samples / name).read_bytes())
    done = run("classify", broken, folder, "--top", "2")
    assert done.returncode == 1
    coffee, rocket = done.stdout.decode().splitlines()
    assert coffee.startswith(f"{folder / 'coffee.png'}: espresso 9")
    assert rocket.startswith(f"{folder / 'rocket.jpg'}: ")
    assert (coffee.count("%"), rocket.count("%")) == (2, 2)
    [problem] = done.stderr.decode().splitlines()
    assert problem.startswith(f"heliograph: {broken}: ")


def test_classify_writes_json_lines_and_reads_standard_input(run: Run, samples: Path, broken: Path) -> None:
    done = run("classify", "-", broken, "--json", "--top", "1", stdin=(samples / "coffee.png").read_bytes())
    assert done.returncode == 1
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (good["name"], good["predictions"][0]["label"]) == ("stdin", "espresso")
    assert (bad["name"], bad["problem"]["code"]) == (str(broken), "picture-broken")


def test_labels_that_the_terminal_cannot_show_are_escaped(run: Run, samples: Path) -> None:
    done = run("classify", samples / "tsu.png", "--model", "kmnist", "--top", "1", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert b"\\u3064" in done.stdout


def test_a_server_answers_as_this_process_does(run: Run, service: Service, samples: Path) -> None:
    names = [samples / name for name in ("cat.png", "rocket.jpg")]
    here, there = run("classify", *names), run("classify", *names, "--server", service.url)
    assert (there.returncode, there.stdout) == (0, here.stdout)


def test_a_server_that_wants_a_key_gets_it(model_settings: dict[str, str], tmp_path: Path) -> None:
    picture = tmp_path / "sign.pgm"
    picture.write_bytes(b"P5 1 1 255 \xff")
    key, stored = create_key("cli", [Scope.PREDICT])
    (tmp_path / "keys.txt").write_text(stored.line())
    settings = {**model_settings, "HELIOGRAPH_MODELS": "kmnist"}
    with start_service(settings, api_keys_file=tmp_path / "keys.txt") as guarded:
        question = ("classify", picture, "--model", "kmnist", "--server", guarded.url)
        without = run_command(*question, environment=settings)
        allowed = run_command(*question, environment={**settings, "HELIOGRAPH_API_KEY": key})
    assert without.returncode == 1
    assert b"Bearer" in without.stderr
    assert allowed.returncode == 1  # the key is let in; the picture is in a format that is not read
    assert b"Not a JPEG" in allowed.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("classify", "missing.png"), 1, "missing.png: It cannot be read: No such file"),
        (("classify", "x.png", "--model", "nosuch"), 1, "There is no model 'nosuch'"),
        (("classify", "x.png", "--server", "http://127.0.0.1:1"), 1, "No service answers"),
        (("classify", "x.png", "--top", "0"), 2, "--top"),
        (("classify",), 2, "PICTURE"),
        (("cutout", "x.png"), 2, "--output"),
        (("cutout", "x.png", "-o", "d", "--background", "mauve"), 1, "neither a colour"),
        (("models", "pull"), 2, "--default"),
        (("models", "info", "nosuch"), 1, "There is no model 'nosuch'"),
        (("keys", "create", "no spaces"), 1, "cannot name a key"),
        (("keys", "create", "ci", "--scope", "everything"), 2, "--scope"),
    ],
)
def test_failures_are_one_clear_line(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").write_bytes(b"x")
    done = run(*arguments)
    assert done.returncode == status
    assert text in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    if status == 1:
        assert len(done.stderr.splitlines()) == 1


def test_cutout_writes_a_file_a_picture_and_spares_its_input(
    run: Run, data_folder: Path, samples: Path, broken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "deep"
    folder.mkdir(parents=True)
    original = (samples / "coffee.png").read_bytes()
    (folder / "coffee.png").write_bytes(original)
    done = run("cutout", folder / "coffee.png", broken, "-o", folder, "--json")
    assert done.returncode == 1, done.stderr
    good, bad = map(json.loads, done.stdout.splitlines())
    assert good["file"] == str(folder / "coffee-2.png")
    assert bad["problem"]["code"] == "picture-broken"
    assert (folder / "coffee.png").read_bytes() == original
    assert (folder / "coffee-2.png").read_bytes().startswith(PNG)
    assert len(list(folder.iterdir())) == 2


def test_cutout_of_a_server_is_that_of_this_process(
    run: Run, data_folder: Path, service: Service, samples: Path, tmp_path: Path
) -> None:
    options = ("--format", "webp", "--background", "#0af", "-o")
    assert run("cutout", samples / "coffee.png", *options, tmp_path / "here").returncode == 0
    done = run("cutout", samples / "coffee.png", *options, tmp_path / "there", "--server", service.url)
    assert done.returncode == 0, done.stderr
    here, there = (tmp_path / place / "coffee.webp" for place in ("here", "there"))
    assert here.read_bytes()[8:12] == b"WEBP"
    assert here.read_bytes() == there.read_bytes()


def test_keys_create_stores_the_hash_and_shows_the_key_apart(run: Run) -> None:
    done = run("keys", "create", "ci", "--scope", "predict", "--scope", "operate")
    [stored] = parse_keys(done.stdout.decode(), origin="stdout")
    assert stored.name == "ci"
    assert stored.scopes == {Scope.PREDICT, Scope.OPERATE}
    key = done.stderr.decode().split()[-1]
    assert key.startswith("hg_")
    assert key.encode() not in done.stdout
    [least] = parse_keys(run("keys", "create", "ci").stdout.decode(), origin="stdout")
    assert least.scopes == {Scope.PREDICT}


def test_models_are_listed_and_shown(run: Run) -> None:
    listed = json.loads(run("models", "list", "--json").stdout)
    kmnist = next(model for model in listed if model["name"] == "kmnist")
    assert any(variant["here"] for variant in kmnist["variants"])
    assert b"kmnist" in run("models", "list").stdout
    shown = run("models", "info", "kmnist").stdout.decode()
    assert "28 × 28" in shown
    assert "# " in shown  # the card


def test_what_cannot_be_had_fails_a_pull_by_name_and_not_that_of_the_default(
    run: Run, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    nowhere = source("download", address="https://127.0.0.1:1/far.onnx")
    write_package(store, name="far", more=nowhere)
    settings = {"HELIOGRAPH_MODEL_DIR": str(store), "HELIOGRAPH_MODELS": "kmnist,far,nosuch"}
    default = run("models", "pull", "--default", **settings)
    assert default.returncode == 0, default.stderr
    kmnist, far, nosuch = default.stdout.decode().splitlines()
    assert kmnist.startswith("kmnist: ready (")
    assert far.startswith("far: could not be had.")
    assert "`heliograph models pull far`" in far
    assert nosuch.startswith("nosuch: could not be had.")
    named = run("models", "pull", "far", "kmnist", **settings)
    assert named.returncode == 1
    assert b"127.0.0.1:1" in named.stderr
    assert named.stdout.startswith(b"kmnist: ready")


def test_a_model_that_was_pulled_can_be_removed(run: Run, data_folder: Path, tmp_path: Path) -> None:
    settings = {"HELIOGRAPH_MODEL_DIR": str(tmp_path), "HELIOGRAPH_MODEL_MIRRORS": str(data_folder / "u2net")}
    assert run("models", "pull", "u2netp-fp16", **settings).stdout == b"u2netp-fp16: ready (fp16, 2.3 MB)\n"
    assert run("models", "remove", "u2netp", **settings).stdout == b"u2netp: 2.3 MB freed\n"
    assert b"nothing of it" in run("models", "remove", "u2netp", **settings).stdout


@pytest.mark.parametrize("command", [(), ("classify",), ("cutout",), ("models", "pull"), ("keys", "create")])
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    # Typer itself imports pydantic for the help of a command.
    code = (
        "import sys\n"
        f"sys.argv = ['heliograph', *{command!r}, '--help']\n"
        "from heliograph.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'httpx2', 'numpy', 'onnxruntime', 'rich', 'starlette'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Usage" in done.stdout
