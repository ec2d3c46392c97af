//! What stands in `deploy/`, held against the programs that will read it: those of them that are here.

mod manifests;

use crate::run::{Counts, Outcome, Running, answers, bound, tail};
use crate::workspace::Workspace;
use crate::{Result, build};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the examples are.
const FOLDER: &str = "deploy";
/// Where copies of them go that a program is given.
const SCRATCH: &str = "out/deploy";
/// How long a program may look at one of them.
const LOOK: Duration = Duration::from_secs(60);
/// What the Deployment gives a container for the configuration to name, with made-up values.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("TIDEGATE_STORE_URL", "postgres://tidegate:x@postgres/tidegate"),
    ("TIDEGATE_REPLICA_URL", "http://10.0.0.7:7401"),
];

/// How one example was found.
enum Found {
    Good,
    Bad(String),
    /// The program that would know is not here.
    Unknown(String),
}

/// Holds every example against what is here to read it.
pub fn check(workspace: &Workspace) -> Result<Outcome> {
    let folder = workspace.root.join(FOLDER);
    let scratch = workspace.root.join(SCRATCH);
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let [gateway] = build::programs(workspace, ["tidegate"])?;
    let mut all = configs(&gateway, &folder, &scratch)?;
    for name in ["Dockerfile", "Dockerfile.distroless"] {
        all.push((format!("health check of {name}"), health(&gateway, &folder, &scratch, name)?));
    }
    all.push(("the placeholders are refused".to_owned(), placeholders(&gateway, &folder, &scratch)?));
    all.push(("systemd units".to_owned(), units(&gateway, &folder, &scratch)?));
    all.push(("nginx.conf".to_owned(), nginx(&folder, &scratch)?));
    all.push(("envoy.yaml".to_owned(), envoy(&folder, &scratch)?));
    all.push(("kustomization".to_owned(), kustomization(&folder, &scratch)?));
    let mut counts = Counts::default();
    for (name, found) in all {
        match found {
            Found::Good => counts.passed += 1,
            Found::Bad(why) => {
                println!("{name}: {why}");
                counts.failed += 1;
            }
            Found::Unknown(why) => {
                println!("{name}: skipped: {why}");
                counts.skipped += 1;
            }
        }
    }
    Ok(Outcome::Ran(counts))
}

/// Every configuration of the gateway, by the gateway itself.
fn configs(gateway: &Path, folder: &Path, scratch: &Path) -> Result<Vec<(String, Found)>> {
    let mut texts = Vec::new();
    for name in ["systemd/tidegate.yaml", "docker/tidegate.yaml"] {
        texts.push((name.to_owned(), read(&folder.join(name))?));
    }
    let config = manifests::read(&folder.join("kubernetes/config.yaml"))?;
    let text = config["data"]["tidegate.yaml"].as_str().ok_or("config.yaml holds no tidegate.yaml")?;
    texts.push(("kubernetes/config.yaml".to_owned(), text.to_owned()));
    let mut found = Vec::new();
    for (name, text) in texts {
        let file = scratch.join(name.replace('/', "-"));
        write(&file, &text)?;
        let mut command = bound(gateway);
        command.args(["config", "check", "--config"]).arg(&file).envs(ENVIRONMENT);
        found.push((name, judge("tidegate", &mut command, scratch)?));
    }
    Ok(found)
}

/// A gateway does not start with what stands in `secret.example.yaml`.
fn placeholders(gateway: &Path, folder: &Path, scratch: &Path) -> Result<Found> {
    let secret = manifests::read(&folder.join("kubernetes/secret.example.yaml"))?;
    let value = |key: &str| secret["stringData"][key].as_str().map(str::to_owned).unwrap_or_default();
    write(&scratch.join("placeholder.txt"), &value("keys.txt"))?;
    let config = scratch.join("placeholders.yaml");
    write(&config, "keys: {file: placeholder.txt}\n")?;
    let mut keys = bound(gateway);
    keys.args(["keys", "list", "--config"]).arg(&config);
    if answers(&mut keys) {
        return Ok(Found::Bad("the key ring is taken".to_owned()));
    }
    write(&config, &format!("store: {{url: {}}}\n", value("store-url")))?;
    let mut store = bound(gateway);
    store.args(["config", "check", "--config"]).arg(&config);
    Ok(if answers(&mut store) { Found::Bad("the store's URL is taken".to_owned()) } else { Found::Good })
}

/// The gateway knows the words with which an image asks whether it is ready. Whether one is does not matter.
fn health(gateway: &Path, folder: &Path, scratch: &Path, name: &str) -> Result<Found> {
    let text = read(&folder.join("docker").join(name))?.replace("\\\n", " ");
    let check = text.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once("CMD"));
    let words: Vec<String> = match check.map(|(_, words)| serde_json::from_str(words)) {
        Some(Ok(words)) => words,
        Some(Err(error)) => return Ok(Found::Bad(format!("no exec form: {error}"))),
        None => return Ok(Found::Bad("there is none".to_owned())),
    };
    let config = folder.join("docker/tidegate.yaml").display().to_string();
    let words = words.iter().skip(1).map(|word| if word.ends_with(".yaml") { &config } else { word });
    let mut command = bound(gateway);
    command.args(words);
    let mut running = Running::start("tidegate health", &mut command, &scratch.join("health.log"))?;
    let status = running.finish(LOOK)?;
    let said = running.whole_output()?;
    let asked = status.success() || status.code() == Some(1) && said.contains("/readyz");
    Ok(if asked { Found::Good } else { Found::Bad(tail(&said, 20)) })
}

/// The units, with the program where it is here and not where it will be installed.
fn units(gateway: &Path, folder: &Path, scratch: &Path) -> Result<Found> {
    if !answers(Command::new("systemd-analyze").arg("--version")) {
        return Ok(Found::Unknown("systemd-analyze is not installed".to_owned()));
    }
    let mut command = bound(Path::new("systemd-analyze"));
    // What the machine's own units have to say is not of interest, and a warning fails, too.
    command.args(["verify", "--man=no", "--recursive-errors=no"]);
    for name in ["tidegate.service", "tidegate.socket"] {
        let text = read(&folder.join("systemd").join(name))?;
        let copy = scratch.join(name);
        write(&copy, &text.replace("/usr/local/bin/tidegate", &gateway.display().to_string()))?;
        command.arg(copy);
    }
    let mut running = Running::start("systemd-analyze", &mut command, &scratch.join("systemd.log"))?;
    let status = running.finish(LOOK)?;
    let said = running.whole_output()?;
    let good = status.success() && !said.contains("tidegate.");
    Ok(if good { Found::Good } else { Found::Bad(tail(&said, 20)) })
}

/// The configuration of nginx, with a file for its process id that anybody may write.
fn nginx(folder: &Path, scratch: &Path) -> Result<Found> {
    let Some(program) = find("nginx", &["/usr/sbin", "/usr/local/sbin"]) else {
        return Ok(Found::Unknown("nginx is not installed (apt-get install nginx-light)".to_owned()));
    };
    let text = read(&folder.join("nginx/nginx.conf"))?;
    let (config, pid) = (scratch.join("nginx.conf"), scratch.join("nginx.pid"));
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {}/{name};\n", scratch.display()))
        .concat();
    let text = text.replacen("http {\n", &format!("http {{\n{folders}"), 1);
    write(&config, &format!("pid {};\n{text}", pid.display()))?;
    let mut command = bound(&program);
    command.arg("-t").arg("-p").arg(scratch).arg("-e").arg(scratch.join("error.log")).arg("-c").arg(config);
    judge("nginx", &mut command, scratch)
}

/// The configuration of Envoy, at least as far as it is YAML.
fn envoy(folder: &Path, scratch: &Path) -> Result<Found> {
    let file = folder.join("envoy/envoy.yaml");
    let config = manifests::read(&file)?;
    if config["static_resources"]["clusters"].as_array().is_none_or(Vec::is_empty) {
        return Ok(Found::Bad("there are no clusters".to_owned()));
    }
    let Some(program) = find("envoy", &[]) else {
        return Ok(Found::Unknown("it is YAML; the rest is unknown, as envoy is not installed".to_owned()));
    };
    let mut command = bound(&program);
    command.args(["--mode", "validate", "-c"]).arg(file);
    judge("envoy", &mut command, scratch)
}

/// The manifests as one, as `kubectl apply -k` puts them together. Needs no cluster.
fn kustomization(folder: &Path, scratch: &Path) -> Result<Found> {
    let Some(program) = find("kubectl", &[]) else {
        return Ok(Found::Unknown("kubectl is not installed".to_owned()));
    };
    let mut command = bound(&program);
    command.arg("kustomize").arg(folder.join("kubernetes"));
    judge("kubectl", &mut command, scratch)
}

/// Whether a program is content.
fn judge(name: &str, command: &mut Command, scratch: &Path) -> Result<Found> {
    let mut running = Running::start(name, command, &scratch.join(format!("{name}.log")))?;
    let status = running.finish(LOOK)?;
    let said = running.whole_output()?;
    Ok(if status.success() { Found::Good } else { Found::Bad(tail(&said, 20)) })
}

/// A program in the path, or in one of these folders.
fn find(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
