//! Kubernetes: the base and every overlay are rendered by kubectl, held against Kubernetes' own schemas, and looked at as
//! a cluster would: who may reach whom, what a pod may do, and whether settings and mounts fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{deploy, err, is_good, out, parsed, quoted, root, tool};
use crate::support::world::consentry;

/// What can be applied.
pub(super) const SITES: &[&str] =
    &["base", "overlays/redis", "overlays/postgres", "overlays/mtls", "overlays/production"];

#[test]
fn every_site_renders_into_objects_that_kubernetes_takes() {
    let sites = render(SITES);
    for (site, objects) in SITES.iter().zip(&sites) {
        assert!(objects.len() > 15, "{site}: {}", objects.len());
        for deployment in deployments(objects) {
            runs_restricted(site, deployment);
            fits_together(site, objects, deployment);
        }
        the_network_is_closed(site, objects);
    }
    every_secret_is_told(&sites);
    let production = sites.last().unwrap();
    let replicas: Vec<_> =
        deployments(production).map(|deployment| deployment["spec"]["replicas"].as_u64()).collect();
    assert_eq!(replicas, [Some(2), Some(3)]);
    assert!(
        !production.iter().any(|object| object["kind"] == "PersistentVolumeClaim"),
        "it keeps nothing itself"
    );
}

#[test]
fn a_misspelt_field_would_be_seen() {
    let text = rendered("base").replace("terminationGracePeriodSeconds", "terminationGraceSeconds");
    let read = std::panic::catch_unwind(|| parsed("kubernetes", &text));
    assert!(read.is_err());
}

#[test]
fn the_policies_of_a_pod_are_the_folder_that_authors_edit() {
    let objects = render(&["base"]).remove(0);
    for deployment in deployments(&objects) {
        let folder = tempfile::tempdir().unwrap();
        mount_policies(&objects, deployment, folder.path());
        for (part, ending) in [("scopes", ".json"), ("guardrails", ".cedar"), ("", "console.cedar")] {
            for file in fs::read_dir(root().join("policies").join(part)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                if name.ends_with(ending) {
                    let read = |at: &Path| fs::read_to_string(at.join(part).join(&name)).ok();
                    assert_eq!(read(folder.path()), read(&root().join("policies")), "{part}/{name}");
                }
            }
        }
        let checked =
            consentry().args(["policy", "check", "--policies"]).arg(folder.path()).output().unwrap();
        assert!(checked.status.success(), "{}{}", out(&checked), err(&checked));
    }
}

/// A secret that nobody has told of is found missing only when a pod does not start.
fn every_secret_is_told(sites: &[Vec<Value>]) {
    let told = fs::read_to_string(deploy().join("kubernetes/base/kustomization.yaml")).unwrap();
    let wanted: BTreeSet<_> = sites
        .iter()
        .flat_map(|objects| deployments(objects))
        .flat_map(|deployment| list(&deployment["spec"]["template"]["spec"]["volumes"]))
        .filter_map(|volume| volume["secret"]["secretName"].as_str())
        .collect();
    assert!(wanted.len() >= 5, "{wanted:?}");
    assert!(wanted.iter().all(|secret| told.contains(&format!("#   {secret} "))), "{wanted:?}");
    assert!(sites.iter().flatten().all(|object| object["kind"] != "Secret"), "none is kept here");
}

/// What the Pod Security Standard `restricted` asks for, and what a pod needs to be run well.
fn runs_restricted(site: &str, deployment: &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    let name = &deployment["metadata"]["name"];
    assert_eq!(pod["automountServiceAccountToken"], false, "{site} {name}");
    assert_eq!(pod["terminationGracePeriodSeconds"], 40, "{site} {name}");
    let who = &pod["securityContext"];
    assert_eq!((&who["runAsNonRoot"], &who["runAsUser"]), (&json!(true), &json!(65532)), "{site} {name}");
    assert_eq!(who["seccompProfile"]["type"], "RuntimeDefault", "{site} {name}");
    for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
        assert!(pod[field].is_null(), "{site} {name}: {field}");
    }
    for volume in list(&pod["volumes"]) {
        let kinds: Vec<_> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        let allowed = ["configMap", "csi", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
        assert!(kinds.len() == 1 && allowed.contains(&kinds[0].as_str()), "{site} {name}: {volume}");
    }
    for container in containers(pod) {
        let what = format!("{site} {name} {}", container["name"]);
        let limits = &container["securityContext"];
        assert_eq!(limits["allowPrivilegeEscalation"], false, "{what}");
        assert_eq!(limits["readOnlyRootFilesystem"], true, "{what}");
        assert_eq!(limits["capabilities"], json!({ "drop": ["ALL"] }), "{what}");
        let resources = &container["resources"];
        assert!(
            resources["requests"]["cpu"].is_string() && resources["limits"]["memory"].is_string(),
            "{what}"
        );
        assert!(resources["limits"]["cpu"].is_null(), "{what}: a limit of the CPU slows down every call");
        if container["args"][0] != "control" && container["args"][0] != "sidecar" {
            continue;
        }
        let tag = concat!(":", env!("CARGO_PKG_VERSION"));
        assert!(container["image"].as_str().unwrap().ends_with(tag), "{what}: {}", container["image"]);
        if container["name"] != "migrate" {
            for (probe, path) in
                [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
            {
                assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "admin" }), "{what}");
            }
        }
        // A sidecar is native: it begins before the application, and ends after it.
        assert_eq!(container["restartPolicy"] == "Always", container["name"] == "sidecar", "{what}");
    }
}

/// Whether a role gets what its settings name, and is reached where they say.
fn fits_together(site: &str, objects: &[Value], deployment: &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    let volumes: BTreeMap<_, _> =
        list(&pod["volumes"]).map(|volume| (volume["name"].as_str().unwrap(), volume)).collect();
    let mut used = BTreeSet::new();
    for container in containers(pod) {
        let mounts: Vec<_> = list(&container["volumeMounts"]).collect();
        used.extend(mounts.iter().map(|mount| mount["name"].as_str().unwrap()));
        let Some(role) = container["args"][0].as_str() else { continue };
        let settings = settings(objects, deployment, &volumes, role);
        let policies = tempfile::tempdir().unwrap();
        mount_policies(objects, deployment, policies.path());
        is_good(if role == "control" { "control plane" } else { role }, &settings, policies.path());
        for named in quoted(&settings) {
            let named = named.trim_start_matches("sqlite:");
            // A certificate authority may stand in the store's address.
            let named = named.split_once("sslrootcert=").map_or(named, |(_, path)| path);
            let here = ["/run/", "/etc/", "/var/"].iter().any(|folder| named.starts_with(folder));
            // Migrating needs only the store.
            let needed = here && (container["name"] != "migrate" || named.contains("postgres"));
            let mounted = |mount: &&Value| named.starts_with(mount["mountPath"].as_str().unwrap());
            assert!(
                !needed || mounts.iter().any(mounted),
                "{site} {}: {named} is not mounted",
                container["name"]
            );
        }
        let ports: BTreeSet<_> =
            list(&container["ports"]).filter_map(|port| port["containerPort"].as_u64()).collect();
        let open = quoted(&settings).into_iter().filter_map(|named| named.strip_prefix("0.0.0.0:"));
        let open: BTreeSet<_> = open.map(|port| port.parse::<u64>().unwrap()).collect();
        assert!(
            ports == open || container["name"] == "migrate",
            "{site}: {ports:?}, but settings say {open:?}"
        );
    }
    assert_eq!(used, volumes.keys().copied().collect(), "{site}: volumes and mounts");
}

/// Who may reach whom.
fn the_network_is_closed(site: &str, objects: &[Value]) {
    let policies: Vec<_> = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
    for namespace in objects.iter().filter(|object| object["kind"] == "Namespace") {
        let closed = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
        let name = &namespace["metadata"]["name"];
        let closes = |policy: &&&Value| policy["metadata"]["namespace"] == *name && policy["spec"] == closed;
        assert!(policies.iter().any(|policy| closes(&policy)), "{site}: {name}");
        assert_eq!(
            namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted",
            "{site}"
        );
    }
    let open: Vec<_> = policies
        .iter()
        .flat_map(|policy| list(&policy["spec"]["ingress"]))
        .map(|rule| {
            let from =
                list(&rule["from"]).map(|peer| (&peer["namespaceSelector"], &peer["podSelector"])).collect();
            (list(&rule["ports"]).map(|port| port["port"].as_str().unwrap()).collect(), from)
        })
        .collect::<Vec<(Vec<&str>, Vec<(&Value, &Value)>)>>();
    let gateway = json!({ "matchLabels": { "kubernetes.io/metadata.name": "gateway" } });
    let (allowed, sidecars) = (
        json!({ "matchLabels": { "consentry/sidecars": "allowed" } }),
        json!({ "matchLabels": { "consentry/sidecar": "true" } }),
    );
    let expected = vec![
        (vec!["public"], vec![(&gateway, &Value::Null)]),
        (vec!["internal"], vec![(&allowed, &sidecars)]),
    ];
    assert_eq!(open, expected, "{site}: no other way in, and none for the operators' ports");
    let sidecar = deployments(objects).find(|found| found["metadata"]["name"] == "desk").unwrap();
    assert_eq!(sidecar["spec"]["template"]["metadata"]["labels"]["consentry/sidecar"], "true", "{site}");
    let ways_out = policies.iter().flat_map(|policy| list(&policy["spec"]["egress"]));
    assert!(
        ways_out.into_iter().all(|rule| list(&rule["to"]).count() > 0 && list(&rule["ports"]).count() > 0),
        "{site}"
    );
    the_control_plane_is_found(site, objects);
}

fn the_control_plane_is_found(site: &str, objects: &[Value]) {
    let settings = objects.iter().find_map(|object| object["data"]["sidecar.toml"].as_str()).unwrap();
    let (_, rest) = settings.split_once("://consentry-internal.").unwrap();
    let service = objects.iter().find(|object| object["metadata"]["name"] == "consentry-internal").unwrap();
    let (namespace, port) =
        (service["metadata"]["namespace"].as_str().unwrap(), &service["spec"]["ports"][0]);
    assert!(rest.starts_with(&format!("{namespace}.svc:{}\"", port["port"])), "{site}: {rest}");
    let selected = &service["spec"]["selector"];
    let control =
        deployments(objects).find(|found| found["metadata"]["name"] == "consentry-control").unwrap();
    assert_eq!(&control["spec"]["template"]["metadata"]["labels"], selected, "{site}");
    let containers = &control["spec"]["template"]["spec"]["containers"];
    assert!(list(&containers[0]["ports"]).any(|named| named["name"] == port["targetPort"]), "{site}");
}

/// The settings that a role finds in its volume.
fn settings(objects: &[Value], deployment: &Value, volumes: &BTreeMap<&str, &Value>, role: &str) -> String {
    let data = config_map(objects, deployment, volumes["settings"]);
    data[&format!("{role}.toml")].as_str().unwrap().to_owned()
}

/// Lays out a policy volume as a kubelet does: a folder of the newest version, and links into it.
fn mount_policies(objects: &[Value], deployment: &Value, folder: &Path) {
    let volumes = &deployment["spec"]["template"]["spec"]["volumes"];
    let volume = list(volumes).find(|volume| volume["name"] == "policies").unwrap();
    let data = config_map(objects, deployment, volume);
    let items: Vec<_> = list(&volume["configMap"]["items"]).collect();
    let keys: BTreeSet<_> = items.iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys, data.as_object().unwrap().keys().map(String::as_str).collect(), "every file is placed");
    let newest = folder.join("..2026_11_22_00_00_00.1");
    for item in items {
        let path = newest.join(item["path"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data[item["key"].as_str().unwrap()].as_str().unwrap()).unwrap();
    }
    std::os::unix::fs::symlink(newest.file_name().unwrap(), folder.join("..data")).unwrap();
    for entry in fs::read_dir(&newest).unwrap() {
        let name = entry.unwrap().file_name();
        std::os::unix::fs::symlink(Path::new("..data").join(&name), folder.join(&name)).unwrap();
    }
}

fn config_map<'a>(objects: &'a [Value], deployment: &Value, volume: &Value) -> &'a Value {
    let (name, namespace) = (&volume["configMap"]["name"], &deployment["metadata"]["namespace"]);
    let same = |object: &&Value| {
        object["kind"] == "ConfigMap"
            && object["metadata"]["name"] == *name
            && object["metadata"]["namespace"] == *namespace
    };
    &objects.iter().find(same).unwrap_or_else(|| panic!("there is no ConfigMap {name}"))["data"]
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

fn deployments(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| object["kind"] == "Deployment")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn render(sites: &[&str]) -> Vec<Vec<Value>> {
    let texts: Vec<_> = sites.iter().map(|site| rendered(site)).collect();
    serde_json::from_value(parsed("kubernetes", &texts.join("\u{c}"))).unwrap()
}

fn rendered(site: &str) -> String {
    let mut kubectl = Command::new("kubectl");
    let output = tool(kubectl.arg("kustomize").arg(deploy().join("kubernetes").join(site)));
    assert!(
        output.status.success(),
        "{site}: {}\n(kubectl 1.21 or later is needed: Debian 12's is older)",
        err(&output)
    );
    assert!(err(&output).is_empty(), "{site}: {}", err(&output));
    out(&output)
}
