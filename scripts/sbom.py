"""Writes the bill of materials of an image: its Python packages, Debian packages and models, as CycloneDX JSON.

Runs while the image is built, on the base that the image has too. The same content gives the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

from cyclonedx.schema import SchemaVersion
from cyclonedx.spdx import is_supported_id
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from heliograph import __version__
from heliograph.adapters.models.catalogue import Catalogue, shipped_folder
from heliograph.core.models import ModelSpec, VariantSpec

Component: TypeAlias = dict[str, Any]

DPKG_STATUS = Path("/var/lib/dpkg/status")
IMAGE = "heliograph-image"


def python_packages(python: Path) -> dict[str, Any]:
    """The document that cyclonedx-py writes for the environment of an interpreter."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--no-validate"]
    done = subprocess.run([*command, "--spec-version", "1.6", str(python)], capture_output=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def base_python() -> Iterator[Component]:
    """The base's interpreter and its own packages, where they are no Debian packages."""
    if sys.base_prefix == "/usr":
        return
    version = platform.python_version()
    yield {
        "type": "platform",
        "bom-ref": f"python-{version}",
        "name": "python",
        "version": version,
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        "purl": PackageURL("generic", None, "python", version).to_string(),
    }
    folder = f"{sys.base_prefix}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for package in metadata.distributions(path=[folder]):
        name, version = package.metadata["Name"], package.version
        yield {
            "type": "library",
            "bom-ref": f"base:{name}=={version}",
            "name": name,
            "version": version,
            "purl": PackageURL("pypi", None, name, version).to_string(),
        }


def debian_packages(status: str, release: dict[str, str]) -> Iterator[Component]:
    """What dpkg has installed, and the operating system."""
    system, version = release["ID"], release["VERSION_ID"]
    yield {
        "type": "operating-system",
        "bom-ref": f"{system}-{version}",
        "name": system,
        "version": version,
        "description": release["PRETTY_NAME"],
    }
    for paragraph in status.strip().split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.splitlines() if not line.startswith(" "))
        fields = {key: value for key, _, value in lines}
        if not fields["Status"].endswith(" installed"):
            continue
        qualifiers = {"arch": fields["Architecture"], "distro": f"{system}-{version}"}
        purl = PackageURL("deb", system, fields["Package"], fields["Version"], qualifiers).to_string()
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": fields["Package"],
            "version": fields["Version"],
            "publisher": fields["Maintainer"],
            "purl": purl,
        }


def models(store: Path) -> Iterator[Component]:
    """The weights files that lie in the store or ship with Heliograph."""
    for package in Catalogue(store, shipped_folder()).packages():
        for variant in package.spec.variants:
            for folder in (store / package.spec.name, package.folder):
                if (folder / variant.file).is_file():
                    yield model(package.spec, variant, folder / variant.file)
                    break


def model(spec: ModelSpec, variant: VariantSpec, path: Path) -> Component:
    """One weights file, with its model's card in short."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != variant.sha256:
        sys.exit(f"{path} is not the file that its model.toml describes.")
    licence = {"id" if is_supported_id(spec.licence) else "name": spec.licence}
    metrics = [
        {"type": accuracy.metric, "value": f"{accuracy.value:g}", "slice": accuracy.data}
        for accuracy in spec.accuracy
    ]
    downloads = [source.address for source in variant.sources if source.address.startswith("https://")]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{spec.name}-{variant.precision}",
        "name": spec.name,
        "version": spec.version,
        "description": spec.description,
        "licenses": [{"license": licence}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "externalReferences": [
            {"type": "website", "url": spec.homepage},
            *({"type": "distribution", "url": address} for address in downloads),
        ],
        "modelCard": {
            "modelParameters": {"task": spec.task.value},
            "quantitativeAnalysis": {"performanceMetrics": metrics},
        },
        "properties": [
            {"name": "heliograph:file", "value": variant.file},
            {"name": "heliograph:precision", "value": variant.precision},
        ],
    }


def document(python: Path, store: Path) -> str:
    """The whole bill of materials, checked against the schema."""
    bom = python_packages(python)
    added = [
        *base_python(),
        *debian_packages(DPKG_STATUS.read_text(encoding="utf-8"), platform.freedesktop_os_release()),
    ]
    added += models(store)
    refs = [component["bom-ref"] for component in added]
    bom["components"] += added
    bom["metadata"]["component"] = {
        "type": "container",
        "bom-ref": IMAGE,
        "name": "heliograph",
        "version": __version__,
    }
    bom["dependencies"].append({"ref": IMAGE, "dependsOn": sorted([f"heliograph=={__version__}", *refs])})
    content = json.dumps(bom, sort_keys=True)
    bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, content).urn
    text = json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"The bill of materials breaks its schema: {problem}")
    return text


def main() -> None:
    """Writes the file and says what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="interpreter of the image's environment")
    parser.add_argument("--store", type=Path, required=True, help="the image's model store")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    text = document(options.python, options.store)
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(text, encoding="utf-8")
    kinds = [component["type"] for component in json.loads(text)["components"]]
    print(", ".join(f"{kind}: {kinds.count(kind)}" for kind in sorted(set(kinds))))


if __name__ == "__main__":
    main()
