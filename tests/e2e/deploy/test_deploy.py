"""What `deploy/` holds, as far as it can be looked at without a cluster: the chart is rendered by Helm's own engine and held
to the schemas of Kubernetes, the compose files are read and merged as compose does, and every setting in them is one that
the program knows and takes. The same promises are asked of both: nothing runs as root, nothing is written outside of
volumes, secrets come by file, and a stop lasts as long as requests may.
"""

import itertools
import json
import pathlib
import re

import harness
import helm_python
import kubernetes_validate
import pytest
import yaml

DEPLOY = harness.ROOT / "deploy"
CHART = DEPLOY / "chart"
SCALE = (harness.ROOT / "docs" / "scale.md").read_text()
CONTAINERFILE = (harness.ROOT / "packaging" / "container" / "Containerfile").read_text()

# The oldest version that the chart says it works on, and a new one.
KUBERNETES = ["1.27", "1.35"]

OWN_DATABASE = {"database": {"address": "postgres://likeness@db.example/likeness", "caSecret": "db-ca"}}
OWN_MILVUS = {"address": "https://milvus.example:19530", "tokenSecret": "milvus-token", "caSecret": "milvus-ca"}
VALUES = {
    "plain": {},
    "milvus": {"milvus": {"enabled": True}},
    "own": {
        **OWN_DATABASE,
        "milvus": {"enabled": True, **OWN_MILVUS},
        "archives": {"existingClaim": "archives"},
        "ingress": {"enabled": True, "className": "nginx"},
        "settings": {"LIKENESS_QUEUE_MAX": "7"},
        "stop": {"graceSeconds": 60, "pauseSeconds": 9},
        "volume": {"storageClass": "fast"},
    },
}


@pytest.fixture(scope="session", params=list(VALUES))
def rendered(request):
    """What a release of the chart is made of."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(VALUES[request.param], name="faces", namespace="likeness")
    files = [text for name, text in texts.items() if name.endswith(".yaml")]
    return [found for text in files for found in yaml.safe_load_all(text) if found]


def merged(below, above):
    """As compose does with a second file: mappings are merged, lists joined, the rest is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below[key], above[key]) if key in below and key in above else {**below, **above}[key] for key in {**below, **above}}
    return below + above if isinstance(below, list) and isinstance(above, list) else above


@pytest.fixture(scope="session", params=["compose.yaml", "compose.milvus.yaml"])
def composed(request):
    files = ["compose.yaml"] if request.param == "compose.yaml" else ["compose.yaml", request.param]
    found = {}
    for name in files:
        found = merged(found, yaml.safe_load((DEPLOY / name).read_text()))
    return found


def workloads(rendered):
    return {found["metadata"]["name"]: found for found in rendered if found["kind"] == "StatefulSet"}


def pod(workload):
    return workload["spec"]["template"]["spec"]


def container(workload):
    (only,) = pod(workload)["containers"]
    return only


def known_settings(environment=None):
    shown = json.loads(harness.run("config", "show", "--json", env=environment).stdout)
    return {setting["env"]: setting for setting in shown.values()}


def check_settings(environment):
    """The program knows every variable and takes its value, from the environment and as it is written."""
    ours = {name: str(value) for name, value in environment.items() if name.startswith("LIKENESS_")}
    known = known_settings(ours)
    for name, value in ours.items():
        assert name in known, f"{name} is no setting"
        assert known[name]["origin"] == f"environment {name}", name
        taken = known[name]["value"]
        assert (",".join(taken) if isinstance(taken, list) else str(taken).strip('"')) == value, name
    return ours


def test_helm_finds_nothing_wrong():
    found = helm_python.lint(str(CHART))
    assert not found["errors"]
    assert [line["error"] for line in found["messages"]] == ["icon is recommended"]


def test_kubernetes_takes_what_is_rendered(rendered):
    for found, version in itertools.product(rendered, KUBERNETES):
        kubernetes_validate.validate(found, version, strict=True)


def test_every_setting_of_the_chart_is_one_of_the_program(rendered):
    environment = {variable["name"]: variable["value"] for variable in container(workloads(rendered)["faces"])["env"]}
    ours = check_settings(environment)
    assert ours["LIKENESS_LISTEN"].endswith(":7080") and ours["LIKENESS_LISTEN_OPERATIONS"].endswith(":7081")


def test_every_setting_of_compose_is_one_of_the_program(composed):
    for name in ("one", "two"):
        check_settings(composed["services"][name]["environment"])


def test_the_chart_runs_nothing_as_root_and_writes_to_volumes_only(rendered):
    for name, workload in workloads(rendered).items():
        of_pod, of_container = pod(workload)["securityContext"], container(workload)["securityContext"]
        assert of_pod["runAsNonRoot"] and of_pod["runAsUser"] > 0 and of_pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert of_container["readOnlyRootFilesystem"] and not of_container["allowPrivilegeEscalation"], name
        assert of_container["capabilities"] == {"drop": ["ALL"]}, name
        assert pod(workload)["automountServiceAccountToken"] is False, name
        written = [mount["mountPath"] for mount in container(workload)["volumeMounts"] if not mount.get("readOnly")]
        assert "/tmp" in written and "/" not in written, name
    # The user of the image.
    assert f"--uid {pod(workloads(rendered)['faces'])['securityContext']['runAsUser']} " in CONTAINERFILE


def test_secrets_come_by_file_and_are_in_nothing_else(rendered):
    for name, workload in workloads(rendered).items():
        names = {volume["name"]: volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume}
        mounts = {mount["name"]: mount for mount in container(workload)["volumeMounts"]}
        for volume, secret in names.items():
            assert mounts[volume]["readOnly"], name
            assert secret["defaultMode"] & 0o222 == 0, name
        files = [f"{mounts[volume]['mountPath']}/{item['path']}" for volume, secret in names.items() for item in secret["items"]]
        for variable in container(workload).get("env", []):
            assert "valueFrom" not in variable, name
            if re.search(r"(PASSWORD|TOKEN|SECRET|CA)(_FILE)?$", variable["name"]):
                assert variable["name"].endswith("_FILE") and variable["value"] in files, variable
    assert not [found for found in rendered if found["kind"] == "Secret"]


def test_compose_keeps_secrets_in_files_and_roots_out(composed):
    for name in ("one", "two"):
        service = composed["services"][name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges"]
        assert service["environment"]["LIKENESS_STORE_PASSWORD_FILE"] == "/run/secrets/password" and service["secrets"] == ["password"]
    for service in composed["services"].values():
        for name in service.get("environment", {}):
            assert not re.search(r"(PASSWORD|TOKEN|SECRET)$", name), name
    used = [volume.split(":")[0] for service in composed["services"].values() for volume in service.get("volumes", [])]
    assert {volume for volume in used if not volume.startswith(".")} == set(composed["volumes"])


def test_a_stop_lasts_as_long_as_requests_may(rendered, composed):
    servers = workloads(rendered)["faces"]
    environment = {variable["name"]: variable["value"] for variable in container(servers)["env"]}
    command, pause = container(servers)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod(servers)["terminationGracePeriodSeconds"] >= int(pause) + int(environment["LIKENESS_LISTENER_GRACE_S"]) + 10
    grace = known_settings()["LIKENESS_LISTENER_GRACE_S"]["value"]
    for name in ("one", "two"):
        assert int(composed["services"][name]["stop_grace_period"].rstrip("s")) >= grace + 10


def test_probes_and_balancers_ask_the_addresses_that_answer(rendered, composed):
    servers = workloads(rendered)["faces"]
    ports = {port["name"]: port["containerPort"] for port in container(servers)["ports"]}
    assert ports == {"http": 7080, "operations": 7081}
    assert {str(port) for port in ports.values()} <= set(re.search(r"^EXPOSE (.*)$", CONTAINERFILE, re.M)[1].split())
    probes = {kind: container(servers)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    paths = {kind: (probe["path"], probe["port"]) for kind, probe in probes.items()}
    assert paths == {"startup": ("/healthz", "operations"), "liveness": ("/healthz", "operations"), "readiness": ("/readyz", "operations")}
    caddyfile = (DEPLOY / "Caddyfile").read_text()
    upstreams = re.search(r"reverse_proxy (.*) \{", caddyfile)[1].split()
    assert "health_uri /readyz" in caddyfile
    assert upstreams == [f"{name}:7080" for name in composed["services"] if "LIKENESS_STORE" in composed["services"][name].get("environment", {})]
    subnet = composed["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert composed["services"]["one"]["environment"]["LIKENESS_LISTENER_TRUSTED_PROXIES"] == subnet
    # The balancer has no other way to them, on which they would take it for the client.
    networks = {name: set(composed["services"][name]["networks"]) for name in ("balancer", "one", "two")}
    assert networks["balancer"] & (networks["one"] | networks["two"]) == {"inside"}


def test_services_lead_to_what_listens(rendered):
    """Each service, policy and budget names pods of this release, and their ports."""
    pods = [found["spec"]["template"] for found in workloads(rendered).values()]

    def chosen(labels):
        found = [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]
        assert len(found) == 1, labels
        return found[0]["spec"]["containers"][0]

    for found in rendered:
        spec = found["spec"]
        if found["kind"] == "Service":
            listening = {port["name"] for port in chosen(spec["selector"])["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= listening
        elif found["kind"] == "NetworkPolicy":
            chosen(spec["podSelector"]["matchLabels"])
            assert chosen(spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"])["name"] == "likeness"
        elif found["kind"] == "PodDisruptionBudget":
            assert chosen(spec["selector"]["matchLabels"])["name"] == "likeness" and spec["maxUnavailable"] == 1
    names = {found["metadata"]["name"] for found in rendered if found["kind"] == "Service"}
    environment = {variable["name"]: variable["value"] for variable in container(workloads(rendered)["faces"])["env"]}
    for name in ("LIKENESS_STORE", "LIKENESS_MILVUS_URL"):
        host = re.search(r"://(?:[^@/]*@)?([^:/]+)", environment.get(name, ""))
        assert not host or host[1] in names or host[1].endswith(".example"), environment[name]


def test_both_have_the_versions_that_were_tested(rendered, composed):
    images = {container(workload)["image"] for workload in workloads(rendered).values()}
    images |= {service["image"] for service in composed["services"].values()}
    for image in images:
        _, _, tag = image.rpartition(":")
        if "milvus:" in image and not image.startswith("localhost"):
            assert f"Milvus {tag.removeprefix('v')}" in SCALE, image
        elif "postgres:" in image:
            assert f"PostgreSQL 13 or later; {tag} is tested" in SCALE, image
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.*)"$', (harness.ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert chart["appVersion"] == version


def test_docs_name_what_is_there():
    for path in re.findall(r"`(deploy/[^`]+)`", SCALE):
        assert (harness.ROOT / pathlib.Path(path)).exists(), path
    for path in ("deploy/compose.yaml", "deploy/compose.milvus.yaml", "deploy/chart"):
        assert f"`{path}`" in SCALE, path
