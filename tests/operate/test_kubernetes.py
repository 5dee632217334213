"""Manifests: valid by the schemas, fitting each other, and with commands that really run."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from leaven import deploying, releasing
from leaven.cli import app
from leaven.core.errors import SettingError
from leaven.evaluate.run import Run
from leaven.operate.kubernetes.pods import USER
from leaven.operate.kubernetes.text import as_yaml
from leaven.serve.models.app import _DRAIN

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(os.environ.get("LEAVEN_SCHEMAS", ROOT.parent / "shared" / "schemas"))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
IMAGE = "registry.example.org/team/leaven:0.1.0"
RAY = "registry.example.org/team/leaven-ray:0.1.0"
FIT = {"label": "team", "method": "auto", "seeds": 3, "schedule": "0 3 * * 1", "ray": RAY}
ALL = {
    "review": "/leaven/data/tickets.csv",
    "review_host": "labels.example.org",
    "data": "/leaven/data/tickets.csv",
    "fit": FIT,
    "loop": "/leaven/leaven.toml",
    "signed": True,
    "encrypted": True,
    "abstain": 0.6,
    "storage_class": "fast",
}
PLANS: dict[str, dict[str, Any]] = {
    "least": {},
    "all": ALL,
    "kserve": {**ALL, "kserve": True},
    "knative": {"kserve": True, "canary": 10},
}


@pytest.fixture(scope="module", params=PLANS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param) / "k8s"
    deploying.k8s(made, "it_tickets", IMAGE, **PLANS[request.param])
    return made


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def built(folder: Path) -> list[dict[str, Any]]:
    """The objects that a kustomization leads to, its patches merged in, as `kubectl` does."""
    told = read(folder / "kustomization.yaml")
    found: list[dict[str, Any]] = []
    for name in told["resources"]:
        target = (folder / name).resolve()
        found += built(target) if target.is_dir() else [read(target)]
    for patch in (read(folder / one["path"]) for one in told.get("patches", [])):
        (target,) = [one for one in found if identity(one) == identity(patch)]
        found[found.index(target)] = merged(target, patch)
    return found


def identity(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return one["apiVersion"], one["kind"], one["metadata"]["name"]


def merged(whole: Any, patch: Any) -> Any:
    if not isinstance(whole, dict) or not isinstance(patch, dict):
        return patch
    return whole | {key: merged(whole.get(key), value) for key, value in patch.items()}


def objects(folder: Path) -> list[dict[str, Any]]:
    """All objects of a folder, each once, as production has them."""
    once = [one for part in sorted((folder / "once").iterdir()) for one in built(part)]
    return built(folder / "overlays" / "production") + once


def of(kind: str, among: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in among if one["kind"] == kind]


def pods(among: list[dict[str, Any]]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Labels and specification of each pod, whatever makes it."""
    for one in among:
        spec = one.get("spec", {})
        if one["kind"] == "Pod":
            yield one["metadata"]["labels"], spec
        elif one["kind"] in ("Deployment", "Job"):
            yield spec["template"]["metadata"]["labels"], spec["template"]["spec"]
        elif one["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield template["metadata"]["labels"], template["spec"]
        elif one["kind"] == "RayJob":
            head = spec["rayClusterSpec"]["headGroupSpec"]["template"]
            yield head["metadata"]["labels"], head["spec"]
        elif one["kind"] == "InferenceService":
            yield spec["predictor"]["labels"], spec["predictor"]


@cache
def schema_of(kind: str) -> jsonschema.Draft202012Validator | None:
    """The validator of a custom kind, for which an unknown key is an error."""
    (file, *_) = sorted(SCHEMAS.glob(f"*_{kind}.json.gz")) or [None]
    if file is None:
        return None
    return jsonschema.Draft202012Validator(closed(json.loads(gzip.decompress(file.read_bytes()))))


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if (
        isinstance(schema.get("properties"), dict)
        and schema.get("type") == "object"
        and not is_open
    ):
        inner.setdefault("additionalProperties", False)
    return inner


#: And something of each that its schema does not know.
CUSTOM = {
    "InferenceService": {"predictor": {"canaryPercent": 10}},
    "RayJob": {"rayClusterSpec": {"headGroupSpec": {"replicas": 2}}},
}


@pytest.mark.parametrize("version", ["1.28", kubernetes_validate.latest_version()])
def test_built_in_kinds_are_valid(version: str, tmp_path: Path):
    """A kind that the validator does not know raises; that is wanted."""
    seen: list[dict[str, Any]] = []  # reading a schema is what costs
    for name, asked in PLANS.items():
        deploying.k8s(tmp_path / name, "it_tickets", IMAGE, **asked)
        local = built(tmp_path / name / "overlays" / "local")
        for one in [*objects(tmp_path / name), *local]:
            if one["kind"] not in CUSTOM and one not in seen:
                kubernetes_validate.validate(one, version, strict=True)
                seen.append(one)
    kinds = {one["kind"] for one in seen}
    assert len(kinds) == 10, kinds


def test_an_unknown_kind_is_no_valid_one():
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(
            {"apiVersion": "apps/v1", "kind": "Deploiment", "metadata": {"name": "x"}}, "1.28"
        )


def test_custom_kinds_are_valid(folder: Path):
    there = [one for one in objects(folder) if one["kind"] in CUSTOM]
    for one in there:
        schema = schema_of(one["kind"])
        if schema is None:
            pytest.skip(f"No schema of {one['kind']} in {SCHEMAS}: name the folder, LEAVEN_SCHEMAS")
        schema.validate(one)
        with pytest.raises(jsonschema.ValidationError):
            schema.validate(merged(one, {"spec": CUSTOM[one["kind"]]}))


def test_names_labels_and_ports_fit_each_other(folder: Path):
    there = objects(folder)
    assert len({identity(one) for one in there}) == len(there)
    known = list(pods(there))
    claims = {one["metadata"]["name"] for one in of("PersistentVolumeClaim", there)}
    accounts = {one["metadata"]["name"] for one in of("ServiceAccount", there)}
    for _, spec in known:
        assert spec["serviceAccountName"] in accounts
        (home,) = [v for v in spec["volumes"] if v["name"] == "home"]
        assert home["persistentVolumeClaim"]["claimName"] in claims
        (one,) = spec["containers"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in one["volumeMounts"]} == volumes
        ports = {port["containerPort"] for port in one.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in one:
                how = one[probe].get("httpGet") or one[probe]["tcpSocket"]
                assert how["port"] in ports
        if one.get("command") == ["leaven"] and ports:
            assert int(one["args"][one["args"].index("--port") + 1]) in ports
    for one in of("Deployment", there):
        wanted = one["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    for one in of("Service", there):
        found = [
            spec for labels, spec in known if one["spec"]["selector"].items() <= labels.items()
        ]
        assert len(found) == 1
        names = {port["name"] for port in found[0]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= names
    guarded = []
    for one in of("NetworkPolicy", there):
        wanted = one["spec"]["podSelector"]["matchLabels"]
        guarded += [labels for labels, _ in known if wanted.items() <= labels.items()]
        for entry in one["spec"]["ingress"]:
            (spec,) = [spec for labels, spec in known if wanted.items() <= labels.items()]
            served = {port["containerPort"] for port in spec["containers"][0]["ports"]}
            assert {port["port"] for port in entry.get("ports", [])} <= served
    assert all(labels in guarded for labels, _ in known)
    deployments = {one["metadata"]["name"] for one in of("Deployment", there)}
    for one in of("HorizontalPodAutoscaler", there):
        assert one["spec"]["scaleTargetRef"]["name"] in deployments
    for one in of("PodDisruptionBudget", there):
        wanted = one["spec"]["selector"]["matchLabels"]
        assert [labels for labels, _ in known if wanted.items() <= labels.items()]


def test_no_pod_may_do_more_than_it_must(folder: Path):
    there = objects(folder)
    for labels, spec in pods(there):
        (one,) = spec["containers"]
        who = {**spec.get("securityContext", {}), **one["securityContext"]}
        assert (who["runAsNonRoot"], who["runAsUser"]) == (True, USER)
        assert who["seccompProfile"] == {"type": "RuntimeDefault"}
        assert who["readOnlyRootFilesystem"]
        assert not who["allowPrivilegeEscalation"]
        assert who["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"]["memory"] == one["resources"]["requests"]["memory"]
        (home,) = [mount for mount in one["volumeMounts"] if mount["name"] == "home"]
        writes = labels["app.kubernetes.io/component"] in ("fit", "loop", "ray", "desk")
        assert home["readOnly"] is not writes
    assert not of("Secret", there)
    assert not [one for one in there if one["kind"].endswith(("Role", "RoleBinding"))]


def test_keys_are_named_where_they_are_needed_and_nowhere_written(tmp_path: Path):
    asked = {"data": "/leaven/data/t.csv", "signed": True, "encrypted": True, "secret": "keys"}
    deploying.k8s(tmp_path / "k", "tickets", IMAGE, **asked)
    named: dict[str, set[str]] = {}
    for labels, spec in pods(objects(tmp_path / "k")):
        secrets = [
            one["valueFrom"]["secretKeyRef"]
            for one in spec["containers"][0]["env"]
            if "secretKeyRef" in one.get("valueFrom", {})
        ]
        assert {one["name"] for one in secrets} == {"keys"}
        named[labels["app.kubernetes.io/component"]] = {one["key"] for one in secrets}
    every = {"store", "public-key", "encryption-key"}
    assert named == {"serve": every, "fit": every, "desk": every | {"signing-key"}}


def test_answers_under_way_are_given_before_a_server_is_killed(folder: Path):
    for labels, spec in pods(objects(folder)):
        (one,) = spec["containers"]
        if labels["app.kubernetes.io/component"] == "serve" and "lifecycle" in one:
            waits = int(one["lifecycle"]["preStop"]["exec"]["command"][-1])
            assert spec["terminationGracePeriodSeconds"] > waits + _DRAIN


def test_what_knative_refuses_is_left_out(tmp_path: Path):
    deploying.k8s(tmp_path / "k", "tickets", IMAGE, kserve=True, canary=25)
    (one,) = of("InferenceService", objects(tmp_path / "k"))
    predictor = one["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 25
    assert one["metadata"]["annotations"] == {"serving.kserve.io/deploymentMode": "Serverless"}
    refused = {"securityContext", "terminationGracePeriodSeconds", "topologySpreadConstraints"}
    assert not refused & predictor.keys()
    assert not {"lifecycle", "startupProbe"} & predictor["containers"][0].keys()
    assert not [e for e in predictor["containers"][0]["env"] if "resourceFieldRef" in str(e)]


def words_of(folder: Path) -> Iterator[list[str]]:
    there = objects(folder)
    for _, spec in pods(there):
        (one,) = spec["containers"]
        if one.get("command") == ["leaven"]:
            yield one["args"]
    for one in of("RayJob", there):
        program, *words = shlex.split(one["spec"]["entrypoint"])
        assert program == "leaven"
        yield words


def test_commands_of_the_containers_are_commands_of_leaven(folder: Path):
    for name, *words in words_of(folder):
        given = [word.replace("$(JOB_COMPLETION_INDEX)", "0") for word in words]
        command = COMMANDS[name]
        while hasattr(command, "commands"):
            name, *given = given
            command = command.commands[name]
        command.make_context(name, given)


def test_the_command_of_a_server_serves_and_answers_its_probes(wine: Run, tmp_path: Path):
    """Exactly the words of the manifest, but for the store's address and a free port."""
    store = f"sqlite:///{tmp_path}/leaven.db"
    run = shutil.copytree(wine.folder, tmp_path / "run")
    releasing.release(run, by="ann", override="the first", service="it_tickets", store=store)
    deploying.k8s(tmp_path / "k", "it_tickets", IMAGE, abstain=0.6)
    ((_, spec),) = [p for p in pods(objects(tmp_path / "k")) if "livenessProbe" in str(p)]
    one = spec["containers"][0]
    words = ["0" if word == "8080" else word for word in one["args"]]
    words = [store if word == "$(LEAVEN_STORE)" else word for word in words]
    server = subprocess.Popen(
        [sys.executable, "-m", "leaven", *words], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[-1].replace("0.0.0.0", "127.0.0.1")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = one[probe]["httpGet"]["path"]
            assert httpx.get(address + path, timeout=30).status_code == 200
        assert httpx.post(f"{address}/predict", json={}, timeout=30).status_code == 401
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"service": "--help"}, "'service' must be a name"),
        ({"service": "???"}, "'service' must be a name"),
        ({"image": "leaven"}, "one with a tag or digest"),
        ({"image": "registry.example.org:5000/leaven"}, "one with a tag or digest"),
        ({"image": "leaven:latest"}, "With a tag that moves"),
        ({"image": "Leaven:1\nkind: Pod"}, "'image' must be an image"),
        ({"secret": "My_Secret"}, "'secret' must be lower-case letters"),
        ({"cpu": "half"}, "'cpu' must be a number of cores"),
        ({"memory": "2GB"}, "'memory' must be a size"),
        ({"storage": "0Gi"}, "'storage' must be a size"),
        ({"replicas": 0}, "'replicas' must be a whole number"),
        ({"replicas": 8}, "'most' must be a whole number from 8"),
        ({"abstain": 1.5}, "'abstain' must be a probability"),
        ({"canary": 10}, "left out without KServe"),
        ({"canary": 100, "kserve": True}, "'canary' must be a whole number from 1 to 99"),
        ({"review": "/leaven/runs/a"}, "Name both"),
        ({"review": "/etc", "review_host": "a.b"}, "a path in the volume"),
        ({"review": "/leaven/x", "review_host": "a b"}, "'review_host' must be a host name"),
        ({"data": "tickets.csv"}, "a path in the volume"),
        ({"data": "/leaven/../etc"}, "a path in the volume"),
        ({"fit": {"seeds": 2}}, "'data' must be given"),
        ({"data": "/leaven/a", "fit": {"seeds": 0}}, "'seeds' must be a whole number"),
        ({"data": "/leaven/a", "fit": {"schedule": "daily"}}, "five fields as cron"),
        ({"data": "/leaven/a", "fit": {"budget": "long"}}, "'budget' must be"),
        ({"data": "/leaven/a", "fit": {"memory": "8"}}, "'fit_memory' must be a size"),
        ({"data": "/leaven/a", "fit": {"ray": "ray:latest"}}, "'ray' must be one with a tag"),
        ({"data": "/leaven/a", "fit": {"ray": RAY, "label": "$(id)"}}, "Ray hands the command"),
        ({"loop": "leaven.toml"}, "'loop' must be a path in the volume"),
        ({"loop": "/leaven/l.toml", "loop_schedule": "often"}, "'loop_schedule' must be five"),
        ({"loop_schedule": "0 3 * * 1"}, "'loop' must be given"),
        ({"loop": "/leaven/l.toml", "fit": {"seeds": 2}}, "'data' must be given"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said(wrong: dict[str, Any], said: str, tmp_path: Path):
    told = {"service": "tickets", "image": IMAGE} | wrong
    with pytest.raises(SettingError, match=said):
        deploying.k8s(tmp_path / "k", **told)
    assert not (tmp_path / "k").exists()


def test_the_loop_goes_on_by_a_schedule_one_at_a_time(tmp_path: Path):
    words = f"k8s {tmp_path}/k --service tickets --image {IMAGE} --loop /leaven/l.toml"
    words += " --loop-schedule '0 * * * *' --fit-cpu 3 --json"
    done = CliRunner().invoke(app, shlex.split(words))
    assert done.exit_code == 0, done.output
    (one,) = of("CronJob", objects(tmp_path / "k"))
    assert (one["spec"]["schedule"], one["spec"]["concurrencyPolicy"]) == ("0 * * * *", "Forbid")
    (container,) = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "loop", "run", "--config=/leaven/l.toml", "--store", "$(LEAVEN_STORE)",
    ]  # fmt: skip
    assert container["resources"]["requests"]["cpu"] == "3"
    (rule, _) = one["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]


def test_a_ray_job_fits_in_its_own_image_and_the_operator_alone_may_ask(tmp_path: Path):
    odd = {"label": "a b; rm -rf /", "ray": RAY}
    deploying.k8s(tmp_path / "k", "tickets", IMAGE, data="/leaven/data/t.csv", fit=odd)
    there = objects(tmp_path / "k")
    (job,) = of("RayJob", there)
    assert "--label=a b; rm -rf /" in shlex.split(job["spec"]["entrypoint"])
    (head,) = [spec for labels, spec in pods([job])]
    assert head["containers"][0]["image"] == RAY
    (policy,) = [
        one for one in of("NetworkPolicy", there) if one["metadata"]["name"].endswith("-ray")
    ]
    (entry,) = policy["spec"]["ingress"]
    assert entry["ports"] == [{"protocol": "TCP", "port": 8265}]
    assert {"podSelector": {}} in entry["from"]
    assert all(one.get("podSelector") is not None for one in entry["from"])
    built_on = (tmp_path / "k" / "image" / "ray" / "Dockerfile").read_text()
    assert f"ARG LEAVEN={IMAGE}\nFROM $LEAVEN" in built_on
    assert f"USER {USER}:{USER}" in built_on.splitlines()[-2]
    deploying.k8s(tmp_path / "k", "tickets", IMAGE, data="/leaven/data/t.csv")
    assert not (tmp_path / "k" / "once" / "ray").exists()


def test_text_of_users_stays_text(tmp_path: Path):
    fit = {"label": "$(LEAVEN_STORE)", "method": "--help"}
    deploying.k8s(tmp_path / "k", "a $(LEAVEN_STORE)", IMAGE, data="/leaven/$(HOME)", fit=fit)
    commands = list(words_of(tmp_path / "k"))
    assert [words[1] for words in commands] == ["a $$(LEAVEN_STORE)", "/leaven/$$(HOME)"]
    assert "--label=$$(LEAVEN_STORE)" in commands[1]
    assert "--method=--help" in commands[1]


def test_bases_are_written_anew_and_overlays_are_kept(tmp_path: Path):
    home = tmp_path / "k"
    deploying.k8s(home, "tickets", IMAGE, data="/leaven/data/t.csv", fit={"schedule": "0 3 * * 1"})
    mine = home / "overlays" / "production" / "kustomization.yaml"
    mine.write_text(mine.read_text() + "namePrefix: eu-\n")
    own = home / "base" / "serve" / "own.yaml"
    own.write_text("kind: ConfigMap\n")
    told = deploying.k8s(home, "tickets", IMAGE.replace("0.1.0", "0.2.0"))
    assert "overlays/production/kustomization.yaml" in told["kept"]
    assert mine.read_text().endswith("namePrefix: eu-\n")
    assert "base/fit/cronjob.yaml" in told["removed"]
    assert not (home / "base" / "fit" / "cronjob.yaml").exists()
    assert own.exists()
    (deployment,) = of("Deployment", objects(home))
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"It holds 'notes.txt'"):
        deploying.k8s(tmp_path, "tickets", IMAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_command_says_what_it_wrote_and_how_to_apply_it(tmp_path: Path):
    words = shlex.split(f"k8s {tmp_path}/k --service tickets --image {IMAGE} --cpu 1 --most 9")
    words += shlex.split("--data /leaven/data/t.csv --seeds 2 --fit-memory 16Gi --budget 1h")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"kubectl apply -k {tmp_path}/k/overlays/production" in done.stdout
    there = objects(tmp_path / "k")
    (scaling,) = of("HorizontalPodAutoscaler", there)
    assert scaling["spec"]["maxReplicas"] == 9
    (job,) = of("Job", there)
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][-4:-2] == ["--budget", "1h"]
    again = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(again.stdout)["kept"]
    wrong = CliRunner().invoke(app, ["k8s", f"{tmp_path}/l", "--service", "t", "--image", "x"])
    assert wrong.exit_code == 2


def test_the_image_is_run_by_nobody_and_has_what_it_copies(tmp_path: Path):
    deploying.k8s(tmp_path / "k", "tickets", IMAGE)
    image = tmp_path / "k" / "image"
    lines = (image / "Dockerfile").read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
    assert f"USER {USER}:{USER}" in lines[last:]
    copied = [
        line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]
    assert copied
    assert all((image / name).exists() for name in copied)


TEXTS = st.text(max_size=20) | st.sampled_from(["no", "1e3", "~", "- a", "a: b", "#", "", "0o7"])
VALUES = st.recursive(
    TEXTS | st.integers(-(2**40), 2**40) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=40)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_yaml_is_read_back_as_it_was(told: dict[str, Any]):
    text = as_yaml(told) if told else "{}"
    assert yaml.safe_load(text) == told
