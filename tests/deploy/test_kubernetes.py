"""The manifests fit Kubernetes' schemas, and each other."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
LABEL = {"app.kubernetes.io/name": "osteolens"}


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@pytest.fixture(scope="module")
def pod() -> Any:
    return load("kubernetes/deployment.yaml")["spec"]["template"]


@pytest.fixture(scope="module")
def service() -> Any:
    return load("kserve/inference-service.yaml")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_each_manifest_fits_its_schema(manifest: Path) -> None:
    for document in yaml.safe_load_all(manifest.read_text()):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_the_schemas_refuse_what_is_not_known() -> None:
    wrong = load("kubernetes/deployment.yaml")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_all_that_is_needed_is_there_once() -> None:
    kinds = [yaml.safe_load(manifest.read_text())["kind"] for manifest in MANIFESTS]
    assert sorted(kinds) == [
        "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service"
    ]  # fmt: skip


def test_everything_selects_the_deployment(pod: Any) -> None:
    assert pod["metadata"]["labels"] == LABEL
    assert load("kubernetes/deployment.yaml")["spec"]["selector"]["matchLabels"] == LABEL
    assert load("kubernetes/service.yaml")["spec"]["selector"] == LABEL
    assert load("kubernetes/disruption-budget.yaml")["spec"]["selector"]["matchLabels"] == LABEL
    assert load("kubernetes/network-policy.yaml")["spec"]["podSelector"]["matchLabels"] == LABEL
    target = load("kubernetes/autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", load("kubernetes/deployment.yaml")["metadata"]["name"])


def test_one_port_is_reached_and_nothing_goes_out(pod: Any) -> None:
    [port] = pod["spec"]["containers"][0]["ports"]
    [exposed] = load("kubernetes/service.yaml")["spec"]["ports"]
    assert exposed["targetPort"] == port["name"]
    policy = load("kubernetes/network-policy.yaml")["spec"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": port["containerPort"]}]]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_a_disruption_and_a_rollout_leave_somebody_to_answer() -> None:
    least = load("kubernetes/autoscaler.yaml")["spec"]["minReplicas"]
    assert load("kubernetes/disruption-budget.yaml")["spec"]["minAvailable"] < least
    deployment = load("kubernetes/deployment.yaml")["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in deployment  # applied again, it would undo the autoscaler's work


def pods() -> list[Any]:
    return [
        load("kubernetes/deployment.yaml")["spec"]["template"]["spec"],
        load("kserve/inference-service.yaml")["spec"]["predictor"],
    ]


@pytest.mark.parametrize("spec", pods(), ids=["kubernetes", "kserve"])
def test_a_pod_may_do_no_more_than_it_must(spec: Any) -> None:
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize("spec", pods(), ids=["kubernetes", "kserve"])
def test_the_token_comes_from_the_secret(spec: Any) -> None:
    [container] = spec["containers"]
    [variable] = [one for one in container["env"] if one["name"] == "OSTEOLENS_TOKEN_FILE"]
    secret = load("kubernetes/secret.yaml")
    [volume] = [one for one in spec["volumes"] if one.get("secret", {}).get("secretName") == secret["metadata"]["name"]]
    [mount] = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
    [key] = secret["stringData"]
    assert variable["value"] == f"{mount['mountPath']}/{key}"


def test_kserve_mounts_the_archives_where_they_are_served_from(service: Any) -> None:
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["metadata"]["labels"] == LABEL
    assert service["metadata"]["annotations"] == {
        "serving.kserve.io/deploymentMode": "RawDeployment",
        "serving.kserve.io/autoscalerClass": "hpa",
    }
    [container] = service["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["args"] == ["--model-store", "/mnt/models"]  # where its storage initialiser puts them
    storage = {one["name"]: one["value"] for one in container["env"]}["STORAGE_URI"]
    assert storage.startswith("pvc://")


def test_the_pod_of_kserve_is_a_pod_that_kubernetes_knows(service: Any) -> None:
    """KServe's own schema is not at hand: what it hands on to Kubernetes is checked as a pod, the rest by name."""
    own = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout"}
    predictor = service["spec"]["predictor"]
    assert own < predictor.keys()
    spec = {name: value for name, value in predictor.items() if name not in own}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
    kubernetes_validate.validate(manifest, "1.37", strict=True)
    assert predictor["minReplicas"] < predictor["maxReplicas"]
