//! Manifests as values, and what must be true between them that no tool knows.

use crate::Result;
use serde_json::Value;
use std::path::Path;

/// A YAML file with one document.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    const IMAGES: [&str; 2] = ["docker/Dockerfile", "docker/Dockerfile.distroless"];

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
    }

    fn manifest(name: &str) -> Value {
        read(&folder().join("kubernetes").join(name)).expect("YAML")
    }

    fn text(name: &str) -> String {
        std::fs::read_to_string(folder().join(name)).expect("a file")
    }

    /// The gateway's configuration that the ConfigMap holds.
    fn config() -> Value {
        let map = manifest("config.yaml");
        serde_saphyr::from_str(map["data"]["tidegate.yaml"].as_str().expect("a text")).expect("YAML")
    }

    /// A duration of the configuration in whole seconds.
    fn seconds(value: &Value) -> u64 {
        let text = value.as_str().expect("a duration");
        text.strip_suffix('s').and_then(|number| number.parse().ok()).expect("seconds")
    }

    /// The one container that is the gateway.
    fn container(deployment: &Value) -> &Value {
        &deployment["spec"]["template"]["spec"]["containers"][0]
    }

    #[test]
    fn every_yaml_file_can_be_read_and_every_manifest_is_in_the_kustomization() {
        let resources = manifest("kustomization.yaml")["resources"].clone();
        let resources = resources.as_array().expect("a list").iter();
        let named: BTreeSet<_> = resources.map(|name| name.as_str().expect("a name").to_owned()).collect();
        let mut there = BTreeSet::new();
        for entry in std::fs::read_dir(folder().join("kubernetes")).expect("a folder") {
            let path = entry.expect("an entry").path();
            let value = read(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(value["kind"].is_string(), "{}", path.display());
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if !["kustomization.yaml", "secret.example.yaml"].contains(&name.as_str()) {
                there.insert(name);
            }
        }
        assert_eq!(there, named);
    }

    #[test]
    fn one_label_selects_the_same_pods_everywhere() {
        let deployment = manifest("deployment.yaml");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let network = manifest("network.yaml");
        let selectors = [
            deployment["spec"]["selector"]["matchLabels"].clone(),
            deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
                ["matchLabels"]
                .clone(),
            manifest("service.yaml")["spec"]["selector"].clone(),
            manifest("disruption.yaml")["spec"]["selector"]["matchLabels"].clone(),
            network["spec"]["podSelector"]["matchLabels"].clone(),
            network["spec"]["ingress"][1]["from"][0]["podSelector"]["matchLabels"].clone(),
        ];
        selectors.iter().for_each(|selector| assert_eq!(selector, labels));
        let target = &manifest("autoscaling.yaml")["spec"]["scaleTargetRef"];
        assert_eq!(target["name"], deployment["metadata"]["name"]);
        assert_eq!(target["kind"], deployment["kind"]);
    }

    #[test]
    fn the_ports_of_the_configuration_are_those_of_the_pod() {
        let (deployment, config) = (manifest("deployment.yaml"), config());
        let port = |name: &str| {
            let ports = container(&deployment)["ports"].as_array().expect("ports");
            ports.iter().find(|port| port["name"] == name).expect("a port")["containerPort"].to_string()
        };
        let after_colon =
            |value: &Value| value.as_str().expect("a text").rsplit_once(':').expect("a port").1.to_owned();
        assert_eq!(after_colon(&config["listen"]), port("mcp"));
        assert_eq!(after_colon(&config["replica"]["listen"]), port("replica"));
        let env = container(&deployment)["env"].as_array().expect("variables");
        let at = |name: &Value| env.iter().position(|one| one["name"] == *name).expect("a variable");
        let (url, pod) = (at(&config["replica"]["url"]["env"]), at(&"POD_IP".into()));
        assert_eq!(env[url]["value"], format!("http://$(POD_IP):{}", port("replica")));
        assert_eq!(env[pod]["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP");
        assert!(pod < url, "what is named is put in only where it stands before");
    }

    #[test]
    fn only_replicas_reach_the_internal_port() {
        let network = manifest("network.yaml");
        for rule in network["spec"]["ingress"].as_array().expect("rules") {
            let ports: Vec<_> = rule["ports"].as_array().expect("ports").iter().map(|p| &p["port"]).collect();
            let anybody = rule.get("from").is_none();
            assert_eq!(anybody, ports == ["mcp"], "{rule}");
            assert_eq!(!anybody, ports == ["replica"], "{rule}");
        }
        let service = manifest("service.yaml");
        assert!(
            service["spec"]["ports"]
                .as_array()
                .is_some_and(|all| all.iter().all(|p| p["targetPort"] == "mcp"))
        );
        assert_eq!(service["spec"]["sessionAffinity"], "None");
    }

    #[test]
    fn what_stops_a_replica_waits_longer_than_its_drain() {
        let deployment = manifest("deployment.yaml");
        let drain = seconds(&config()["drain_delay"]) + seconds(&config()["drain_timeout"]);
        let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        assert!(grace.as_u64().is_some_and(|grace| grace >= drain + 10), "{grace} s for {drain} s");
        let ready = &container(&deployment)["readinessProbe"];
        let noticed = |key: &str| ready[key].as_u64().expect("a number");
        let noticed = noticed("periodSeconds") * noticed("failureThreshold");
        assert!(seconds(&config()["drain_delay"]) > noticed, "connections come until then");
        let unit = text("systemd/tidegate.service");
        let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time");
        let config = read(&folder().join("systemd/tidegate.yaml")).expect("YAML");
        assert!(seconds(&stop.into()) >= seconds(&config["drain_timeout"]) + 10);
    }

    #[test]
    fn a_rolling_update_takes_no_replica_away_first() {
        let deployment = manifest("deployment.yaml");
        assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
        assert_eq!(deployment["spec"]["replicas"], 3);
        let container = container(&deployment);
        for (probe, path) in
            [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
        {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(container[probe]["httpGet"]["port"], "mcp", "{probe}");
        }
    }

    #[test]
    fn secrets_are_named_as_the_example_has_them() {
        let (deployment, secret) = (manifest("deployment.yaml"), manifest("secret.example.yaml"));
        let key = &container(&deployment)["env"][0]["valueFrom"]["secretKeyRef"];
        assert_eq!(key["name"], secret["metadata"]["name"]);
        assert!(secret["stringData"].get(key["key"].as_str().expect("a key")).is_some());
        let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == "secret").expect("a volume");
        assert_eq!(volume["secret"]["secretName"], secret["metadata"]["name"]);
        let file = volume["secret"]["items"][0]["path"].as_str().expect("a path");
        assert!(secret["stringData"].get(file).is_some());
        assert_eq!(config()["keys"]["file"], format!("/etc/tidegate/secret/{file}"));
        assert_eq!(config()["store"]["url"]["env"], container(&deployment)["env"][0]["name"]);
    }

    #[test]
    fn images_have_a_fixed_base_and_do_not_run_as_root() {
        for name in IMAGES {
            let file = text(name);
            let bases: Vec<_> = file.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
            assert_eq!(bases.len(), 2, "{name}");
            for base in bases {
                let image = base.split(' ').next().expect("an image");
                let tag = image.rsplit_once(':').expect("a tag").1;
                assert!(!tag.is_empty() && tag != "latest", "{name}: {image}");
            }
            let users: Vec<_> = file.lines().filter(|line| line.starts_with("USER ")).collect();
            assert_eq!(users, ["USER 65532:65532"], "{name}");
        }
    }

    /// What an instruction of a Dockerfile says, with its lines put together.
    fn instructions(name: &str, instruction: &str) -> Vec<String> {
        let file = text(name).replace("\\\n", " ");
        let all = file.lines().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
        all.map(|rest| rest.trim().to_owned()).collect()
    }

    /// A command in exec form.
    fn words(text: &str) -> Vec<String> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("no exec form: {text}: {error}"))
    }

    #[test]
    fn images_ask_themselves_whether_they_are_ready() {
        for name in IMAGES {
            let [entry, command] = ["ENTRYPOINT", "CMD"].map(|what| words(&instructions(name, what)[0]));
            let check = &instructions(name, "HEALTHCHECK")[0];
            let (options, asked) = check.split_once("CMD").expect("a command");
            assert!(options.contains("--timeout=3s"), "longer than the program takes: {name}");
            // The same program with the same configuration, and no shell.
            let wanted = [&entry[..], &["health".to_owned()], &command[1..]].concat();
            assert_eq!((command[0].as_str(), words(asked.trim())), ("up", wanted), "{name}");
        }
    }

    #[test]
    fn what_outlives_the_process_is_in_a_volume() {
        for name in IMAGES {
            let folder = "/var/lib/tidegate";
            assert_eq!(instructions(name, "ENV"), [format!("STATE_DIRECTORY={folder}")], "{name}");
            assert_eq!(instructions(name, "VOLUME"), [folder], "{name}");
            assert_eq!(instructions(name, "WORKDIR").last().map(String::as_str), Some(folder), "{name}");
        }
        let deployment = manifest("deployment.yaml");
        let container = container(&deployment);
        let named = |list: &str, name: &str| {
            let all = container[list].as_array().expect("a list");
            all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{list}: {name}")).clone()
        };
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let mount = named("volumeMounts", "state");
        assert_eq!(named("env", "STATE_DIRECTORY")["value"], mount["mountPath"]);
        assert!(mount.get("readOnly").is_none());
        let unit = text("systemd/tidegate.service");
        assert!(unit.lines().any(|line| line == "StateDirectory=tidegate"));
    }

    #[test]
    fn pods_read_the_configuration_as_it_is() {
        let deployment = manifest("deployment.yaml");
        let pod = &deployment["spec"]["template"]["spec"];
        assert!(pod.get("initContainers").is_none(), "what a pod has of its own comes from the environment");
        let mounts = container(&deployment)["volumeMounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["name"] == "config").expect("a mount");
        let path = mount["mountPath"].as_str().expect("a path");
        let args = &container(&deployment)["args"];
        assert_eq!(args[2], format!("{path}/tidegate.yaml"));
        // A file that is mounted by itself does not change with the map.
        assert!(mount.get("subPath").is_none());
        let volumes = pod["volumes"].as_array().expect("volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == "config").expect("a volume");
        assert_eq!(volume["configMap"]["name"], manifest("config.yaml")["metadata"]["name"]);
    }

    #[test]
    fn no_balancer_repeats_a_call_that_may_have_run() {
        let nginx = text("nginx/nginx.conf");
        let directives: Vec<_> = nginx.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
        for wanted in ["proxy_buffering off;", "proxy_http_version 1.1;", "proxy_next_upstream error;"] {
            assert!(directives.contains(&wanted), "{wanted}");
        }
        assert!(directives.iter().all(|line| !line.contains("non_idempotent") && !line.contains("ip_hash")));
        let envoy = text("envoy/envoy.yaml");
        let retries: Vec<_> =
            envoy.lines().filter_map(|line| line.trim().strip_prefix("retry_on:")).collect();
        assert_eq!(retries, [" connect-failure"]);
    }
}
