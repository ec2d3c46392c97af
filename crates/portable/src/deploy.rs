//! A deployment of the gateway itself: its configuration, and what starts it on a machine, in a container, in
//! a cluster. The files are those of the folder `deploy`, with what a configuration adds to them.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::format::Fault;
use crate::gateways::yaml;
use crate::report::Report;
use crate::tidegate::{LISTEN, SCHEMA_LINE};

/// Where the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsAt {
    /// A cluster: manifests for `kubectl apply -k`.
    Kubernetes,
    /// One machine: a unit of systemd.
    Systemd,
    /// Containers on one machine.
    Compose,
}

impl RunsAt {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Systemd, Self::Compose];

    /// Its name at the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Systemd => "systemd",
            Self::Compose => "compose",
        }
    }
}

/// Files, by name, and what of the configuration means something else there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployed {
    /// The files.
    pub files: Vec<(String, String)>,
    /// What became of the configuration.
    pub report: Report,
}

/// The file of the configuration.
const CONFIG: &str = "tidegate.yaml";
/// The port that is served in containers.
const PORT: u16 = 7400;

/// The manifests that are taken as they are.
const MANIFESTS: [(&str, &str); 7] = [
    ("namespace.yaml", include_str!("../../../deploy/kubernetes/namespace.yaml")),
    ("deployment.yaml", include_str!("../../../deploy/kubernetes/deployment.yaml")),
    ("service.yaml", include_str!("../../../deploy/kubernetes/service.yaml")),
    ("disruption.yaml", include_str!("../../../deploy/kubernetes/disruption.yaml")),
    ("autoscaling.yaml", include_str!("../../../deploy/kubernetes/autoscaling.yaml")),
    ("network.yaml", include_str!("../../../deploy/kubernetes/network.yaml")),
    ("secret.example.yaml", include_str!("../../../deploy/kubernetes/secret.example.yaml")),
];

const UNIT: &str = include_str!("../../../deploy/systemd/tidegate.service");
const SOCKET: &str = include_str!("../../../deploy/systemd/tidegate.socket");

/// The files that deploy a configuration. `beside` are the files that it names, such as policies, by their
/// names.
///
/// Values of variables and files of secrets are in none of them: they are named, to be filled in where the
/// gateway runs.
///
/// # Errors
/// [`Fault`] where the configuration cannot be used.
pub fn deploy(
    place: RunsAt,
    config: &str,
    beside: &[(String, String)],
    file: &str,
) -> Result<Deployed, Fault> {
    if let Err(faults) = config::load_str(config, file) {
        let first = faults.into_iter().next().cloned();
        return Err(first.unwrap_or_else(|| crate::gateways::whole(file, "it is no configuration")));
    }
    let mut tree = crate::gateways::tree(config, file)?;
    let mut needs = Needs::default();
    let mut report = Report::default();
    needs.find(&tree, "");
    needs.optional(&tree, &mut report);
    needs.programs(&tree, place, &mut report);
    stored(&tree, place, &mut report);
    let files = match place {
        RunsAt::Systemd => systemd((config, &tree), beside, &needs, &mut report),
        RunsAt::Compose => compose(&tree, beside, &needs, &mut report),
        RunsAt::Kubernetes => {
            let flat = flattened(&mut tree, beside);
            kubernetes(&tree, &flat, &needs, &mut report)
        }
    };
    Ok(Deployed { files, report })
}

/// Files that a configuration names, each under a name without folders, as keys of a config map are. The
/// configuration names them so.
fn flattened(tree: &mut Json, beside: &[(String, String)]) -> Vec<(String, String)> {
    let mut flat: Vec<(String, String)> = Vec::new();
    let mut names: Vec<(&str, String)> = Vec::new();
    for (path, text) in beside {
        let plain = path.replace('/', "-");
        let taken = |name: &String| flat.iter().any(|(other, _)| other == name);
        let name = (1..).map(|n| if n == 1 { plain.clone() } else { format!("{n}-{plain}") });
        let name = name.into_iter().find(|name| !taken(name)).unwrap_or_default();
        names.push((path, name.clone()));
        flat.push((name, text.clone()));
    }
    let rename = |value: &mut Json| {
        let new = names.iter().find(|(old, _)| value.as_str().is_some_and(|value| is_path(value, old)));
        if let Some((_, new)) = new {
            *value = new.as_str().into();
        }
    };
    if let Some(files) = tree.pointer_mut("/policy/files").and_then(Json::as_array_mut) {
        files.iter_mut().for_each(rename);
    }
    if let Some(rules) = tree.pointer_mut("/governance/rules") {
        rename(rules);
    }
    for (_, upstream) in tree.get_mut("upstreams").and_then(Json::as_object_mut).into_iter().flatten() {
        if let Some(document) = upstream.pointer_mut("/openapi/document") {
            rename(document);
        }
    }
    flat
}

/// Whether a path as it is written is this one without `.` in it.
fn is_path(written: &str, path: &str) -> bool {
    written.split('/').filter(|part| !matches!(*part, "" | ".")).eq(path.split('/'))
}

/// A database in a file has to be where it can be written.
fn stored(tree: &Json, place: RunsAt, report: &mut Report) {
    let Some(path) = tree["store"]["url"].as_str().and_then(|url| url.strip_prefix("sqlite:")) else {
        return;
    };
    match place {
        RunsAt::Compose if !path.starts_with("/var/lib/tidegate/") => {
            let meaning = "in a container nothing is kept but what is below /var/lib/tidegate";
            report.approximated("store.url", false, meaning);
        }
        RunsAt::Kubernetes => {
            let meaning = "replicas do not share a file: give a URL of PostgreSQL";
            report.approximated("store.url", false, meaning);
        }
        RunsAt::Systemd if path.starts_with('/') && !path.starts_with("/var/lib/tidegate/") => {
            let meaning = "the unit writes below /var/lib/tidegate alone";
            report.approximated("store.url", false, meaning);
        }
        RunsAt::Compose | RunsAt::Systemd => {}
    }
}

/// What a configuration needs where it runs.
#[derive(Debug, Default)]
struct Needs {
    variables: BTreeSet<String>,
    /// Files, and the keys that name them.
    files: Vec<(String, String)>,
}

impl Needs {
    /// Finds what is named by `{env: …}` and `{file: …}`.
    fn find(&mut self, value: &Json, path: &str) {
        match value {
            Json::Object(members) => {
                for (key, value) in members {
                    let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match (key.as_str(), value) {
                        ("env", Json::String(name)) => drop(self.variables.insert(name.clone())),
                        ("file" | "cert" | "key" | "ca", Json::String(name)) => {
                            self.files.push((at, name.clone()))
                        }
                        _ => self.find(value, &at),
                    }
                }
            }
            Json::Array(items) => items.iter().for_each(|item| self.find(item, path)),
            _ => {}
        }
    }

    /// A variable of the environment that stands in for a variable with a default need not be there.
    fn optional(&mut self, tree: &Json, report: &mut Report) {
        for (name, variable) in tree["variables"].as_object().into_iter().flatten() {
            let (env, default) = (variable["env"].as_str(), variable.get("default"));
            let Some(env) = env.filter(|_| default.is_some()) else { continue };
            let mut others = Self::default();
            let mut rest = tree.clone();
            if let Some(variables) = rest["variables"].as_object_mut() {
                variables.shift_remove(name);
            }
            others.find(&rest, "");
            if !others.variables.contains(env) {
                self.variables.remove(env);
                let meaning = format!("{env:?} is not handed on: the default holds until you do");
                report.approximated(format!("variables.{name}"), false, meaning);
            }
        }
    }

    /// Programs of upstreams have to be where the gateway is.
    fn programs(&self, tree: &Json, place: RunsAt, report: &mut Report) {
        for (name, upstream) in tree["upstreams"].as_object().into_iter().flatten() {
            if let Some(program) = upstream["command"][0].as_str() {
                let meaning = match place {
                    RunsAt::Systemd => format!("{program:?} has to be there for the unit's own account"),
                    RunsAt::Kubernetes | RunsAt::Compose => {
                        format!("{program:?} has to be in the image, which has the gateway alone")
                    }
                };
                report.approximated(format!("upstreams.{name}.command"), false, meaning);
            }
        }
    }

    /// Files are where the gateway runs, and not in what is written.
    fn mounted(&self, beside: &[(String, String)], folder: &str, report: &mut Report) {
        for (at, name) in self.files.iter().filter(|(_, name)| !beside.iter().any(|(file, _)| file == name)) {
            report.approximated(
                at.clone(),
                false,
                format!("the file {name:?} has to be put there: see {folder}"),
            );
        }
    }
}

fn systemd(
    (config, tree): (&str, &Json),
    beside: &[(String, String)],
    needs: &Needs,
    report: &mut Report,
) -> Vec<(String, String)> {
    needs.mounted(beside, "/etc/tidegate", report);
    let mut env = String::from(
        "# Variables that the configuration reads. To /etc/tidegate/tidegate.env, for root alone.\n",
    );
    needs.variables.iter().for_each(|name| env.push_str(&format!("{name}=\n")));
    // The socket is in place of what the configuration says, so that it has to say the same.
    let listen = tree["listen"].as_str().unwrap_or(LISTEN).replace("localhost:", "127.0.0.1:");
    let socket = SOCKET.replace(&format!("ListenStream={LISTEN}"), &format!("ListenStream={listen}"));
    let mut files = vec![
        ("tidegate.service".to_owned(), UNIT.to_owned()),
        ("tidegate.socket".to_owned(), socket),
        (CONFIG.to_owned(), config.to_owned()),
        ("tidegate.env".to_owned(), env),
    ];
    files.extend(beside.iter().cloned());
    files
}

/// The configuration as it is in a container: it listens on all of the container's addresses.
fn inside(tree: &Json, report: &mut Report) -> Map<String, Json> {
    let mut own = tree.as_object().cloned().unwrap_or_default();
    let before = own.get("listen").and_then(Json::as_str).unwrap_or(LISTEN).to_owned();
    if before != format!("0.0.0.0:{PORT}") {
        let meaning = format!("it listens on port {PORT} of its container");
        report.approximated("listen", false, meaning);
    }
    let loopback = ["127.", "localhost:", "[::1]:"].iter().any(|start| before.starts_with(start));
    own.insert("listen".to_owned(), format!("0.0.0.0:{PORT}").into());
    let allows = own.get("auth").is_some_and(|auth| auth.get("allow").is_some());
    if loopback && !allows {
        // On loopback anybody was let in, as nobody else could reach it. Here others can.
        let auth = own.entry("auth").or_insert_with(|| json!({}));
        auth["allow"] = json!([]);
        let meaning = "nobody is let in until `auth.allow` says who: others can reach it there";
        report.approximated("auth.allow", true, meaning);
    }
    own
}

fn compose(
    tree: &Json,
    beside: &[(String, String)],
    needs: &Needs,
    report: &mut Report,
) -> Vec<(String, String)> {
    let mut own = inside(tree, report);
    if !own.contains_key("hosts") {
        own.insert("hosts".to_owned(), json!(["localhost", "127.0.0.1"]));
        report.approximated("hosts", true, "it is served to this machine: name other hosts in `hosts`");
    }
    needs.mounted(beside, "`volumes` of the service", report);
    let mut volumes = vec![json!(format!("./{CONFIG}:/etc/tidegate/{CONFIG}:ro"))];
    volumes.extend(beside.iter().map(|(name, _)| json!(format!("./{name}:/etc/tidegate/{name}:ro"))));
    volumes.push("state:/var/lib/tidegate".into());
    let variables: Map<String, Json> = needs
        .variables
        .iter()
        .map(|name| (name.clone(), format!("${{{name}:?it is needed}}").into()))
        .collect();
    let mut service = json!({
        "image": concat!("tidegate:", env!("CARGO_PKG_VERSION")),
        "command": ["up", "--config", format!("/etc/tidegate/{CONFIG}")],
        "ports": [format!("127.0.0.1:{PORT}:{PORT}")],
        "volumes": volumes,
        "read_only": true,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": "45s",
    });
    if !variables.is_empty() {
        service["environment"] = Json::Object(variables);
    }
    let whole = json!({"services": {"tidegate": service}, "volumes": {"state": {}}});
    let head = "# The image: docker build -f deploy/docker/Dockerfile -t tidegate:VERSION .\n";
    let mut files = vec![
        ("compose.yaml".to_owned(), format!("{head}{}", yaml(&whole))),
        (CONFIG.to_owned(), format!("{SCHEMA_LINE}{}", yaml(&Json::Object(own)))),
    ];
    files.extend(beside.iter().cloned());
    files
}

fn kubernetes(
    tree: &Json,
    beside: &[(String, String)],
    needs: &Needs,
    report: &mut Report,
) -> Vec<(String, String)> {
    let mut own = inside(tree, report);
    let mut put = |key: &str, value: Json, meaning: &str| {
        if !own.contains_key(key) {
            own.insert(key.to_owned(), value);
            report.approximated(key, false, meaning);
        }
    };
    let hosts = ["tidegate", "tidegate.tidegate.svc", "tidegate.tidegate.svc.cluster.local"];
    put("hosts", json!(hosts), "it is served inside the cluster: name others in `hosts`");
    put(
        "keys",
        json!({"file": "/etc/tidegate/secret/keys.txt"}),
        "replicas share the key ring of the secret",
    );
    put(
        "store",
        json!({"url": {"env": "TIDEGATE_STORE_URL"}}),
        "replicas share the store that the secret names",
    );
    let replica = json!({"listen": "0.0.0.0:7401", "url": {"env": "TIDEGATE_REPLICA_URL"}});
    put("replica", replica, "replicas reach one another");
    put("drain_delay", "10s".into(), "until every node has taken the pod off its list");
    needs.mounted(beside, "`volumes` of the deployment", report);
    let mut data = Map::new();
    data.insert(CONFIG.to_owned(), yaml(&Json::Object(own)).into());
    data.extend(beside.iter().map(|(name, text)| (name.clone(), text.as_str().into())));
    let metadata = json!({"name": "tidegate", "namespace": "tidegate"});
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    let own_names = ["TIDEGATE_STORE_URL", "TIDEGATE_REPLICA_URL"];
    let variables = needs.variables.iter().filter(|name| !own_names.contains(&name.as_str())).map(
        |name| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "tidegate", "key": key(name)}}}),
    );
    let variables: Vec<Json> = variables.collect();
    let mut resources: Vec<&str> = vec!["config.yaml"];
    resources.extend(MANIFESTS.iter().map(|(name, _)| *name).filter(|name| *name != "secret.example.yaml"));
    let mut kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "tidegate",
        "resources": resources,
    });
    let mut files = vec![("config.yaml".to_owned(), yaml(&config))];
    if !variables.is_empty() {
        let container = json!({"name": "tidegate", "env": variables});
        let template = json!({"spec": {"containers": [container]}});
        let patch = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "tidegate", "namespace": "tidegate"}, "spec": {"template": template}});
        kustomization["patches"] = json!([{"path": "variables.yaml"}]);
        let keys: Vec<String> = needs.variables.iter().map(|name| key(name)).collect();
        let head = format!("# The secret has these keys, too: {}\n", keys.join(", "));
        files.push(("variables.yaml".to_owned(), format!("{head}{}", yaml(&patch))));
    }
    files.push(("kustomization.yaml".to_owned(), yaml(&kustomization)));
    files.extend(MANIFESTS.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    files
}

/// A variable's key in a secret.
fn key(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "upstreams:\n  crm:\n    url: https://crm.example.com/mcp\n    \
                       headers: {Authorization: {env: CRM_TOKEN, prefix: \"Bearer \"}}\n  \
                       files: {command: [npx, server]}\npolicy: {files: [imported.cedar]}\n";

    fn deployed(place: RunsAt) -> Deployed {
        let beside = [("imported.cedar".to_owned(), "// rules\n".to_owned())];
        deploy(place, OWN, &beside, "f").unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn file(deployed: &Deployed, name: &str) -> Json {
        let (_, text) = deployed.files.iter().find(|(file, _)| file == name).expect("the file");
        crate::gateways::tree(text, name).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
    }

    #[test]
    fn what_is_deployed_is_a_configuration_that_is_taken() {
        for place in RunsAt::ALL {
            let deployed = deployed(place);
            let text = match place {
                RunsAt::Kubernetes => {
                    file(&deployed, "config.yaml")["data"][CONFIG].as_str().map(str::to_owned)
                }
                _ => deployed.files.iter().find(|(name, _)| name == CONFIG).map(|(_, text)| text.clone()),
            };
            let text = text.expect("a configuration");
            let config = config::load_str(&text, "f").unwrap_or_else(|faults| panic!("{faults}\n{text}"));
            assert_eq!(config.upstreams.len(), 2);
            if place != RunsAt::Systemd {
                assert_eq!(
                    config.auth.allow,
                    Some(Vec::new()),
                    "nobody is let in by what was for one machine"
                );
            }
            let missing = deployed.report.changed().any(|loss| loss.path == "upstreams.files.command");
            assert!(missing, "{}", deployed.report);
        }
    }

    #[test]
    fn a_cluster_gets_the_manifests_of_this_repository_and_what_the_configuration_adds() {
        let deployed = deployed(RunsAt::Kubernetes);
        let resources = file(&deployed, "kustomization.yaml")["resources"].clone();
        for name in resources.as_array().expect("a list") {
            let name = name.as_str().expect("a name");
            assert!(deployed.files.iter().any(|(file, _)| file == name), "{name}");
        }
        let patch = file(&deployed, "variables.yaml");
        let env = &patch["spec"]["template"]["spec"]["containers"][0]["env"][0];
        assert_eq!(env["valueFrom"]["secretKeyRef"]["key"], "crm-token");
        assert_eq!(file(&deployed, "config.yaml")["data"]["imported.cedar"], "// rules\n");
    }

    #[test]
    fn containers_on_one_machine_need_every_variable_by_its_name() {
        let deployed = deployed(RunsAt::Compose);
        let service = file(&deployed, "compose.yaml")["services"]["tidegate"].clone();
        assert_eq!(service["environment"]["CRM_TOKEN"], "${CRM_TOKEN:?it is needed}");
        assert_eq!(service["ports"][0], "127.0.0.1:7400:7400");
    }

    #[test]
    fn what_is_no_configuration_is_not_deployed() {
        assert!(deploy(RunsAt::Systemd, "upstream: {}", &[], "f").is_err());
    }
}
