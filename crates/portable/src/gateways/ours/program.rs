//! Containers as programs that start them, and references as what this gateway looks up.

use super::super::reading::{env, variable_name};
use crate::model::{Container, Deployment, Isolation, Server, Transport};
use crate::report::Report;
use crate::text::{Piece, Text};

/// What marks a place as a variable until it is one.
const MARK: &str = "variable:";

/// Servers in containers are started by `docker run`.
pub(crate) fn containers(deployment: &mut Deployment, report: &mut Report) {
    deployment.servers.retain(|name, server| {
        let path = format!("servers.{name}");
        let Some(container) = server.container.take() else {
            if server.isolation.take().is_some() {
                let meaning = "nothing holds it to what it may reach: run it in a container";
                report.dropped(format!("{path}.isolation"), true, meaning);
            }
            return true;
        };
        if server.transport != Transport::Stdio {
            let meaning = "it listens on a port of its container: run that, and give its URL";
            report.dropped(format!("{path}.container"), false, meaning);
            return false;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
        if !container.image.chars().all(plain) || !container.image.starts_with(|c: char| c != '-') {
            let meaning = "its image has no name that is one: the server is left out";
            report.dropped(format!("{path}.container.image"), false, meaning);
            return false;
        }
        let isolation = server.isolation.take().unwrap_or_default();
        server.argv = run(&container, &isolation, server, &path, report);
        let meaning = "`docker run` starts it, which has to be here";
        report.approximated(format!("{path}.container"), true, meaning);
        true
    });
}

fn run(
    container: &Container,
    isolation: &Isolation,
    server: &Server,
    path: &str,
    report: &mut Report,
) -> Vec<Text> {
    let mut words: Vec<String> = ["docker", "run", "-i", "--rm", "--init"].map(str::to_owned).to_vec();
    words.push("--security-opt=no-new-privileges".to_owned());
    match &isolation.network {
        None => {}
        Some(network) if !network.all && network.hosts.is_empty() && network.ports.is_empty() => {
            report.kept(format!("{path}.isolation.network"), true);
            words.push("--network=none".to_owned());
        }
        Some(network) if network.all => report.kept(format!("{path}.isolation.network"), true),
        Some(_) => {
            let meaning = "its container reaches every host: give it a network that does not";
            report.dropped(format!("{path}.isolation.network"), true, meaning);
        }
    }
    if let Some(cpu) = isolation.cpu_milli {
        words.push(format!("--cpus={}.{:03}", cpu / 1000, cpu % 1000));
    }
    if let Some(memory) = isolation.memory_bytes {
        words.push(format!("--memory={memory}"));
    }
    let mut volumes = container.volumes.clone();
    for (list, end) in [(&isolation.read, ":ro"), (&isolation.write, "")] {
        for one in list.iter().flatten() {
            let mount = if one.contains(':') { one.clone() } else { format!("{one}:{one}") };
            // What is mounted already is not mounted twice.
            if !volumes.iter().any(|volume| *volume == mount || volume.starts_with(&format!("{mount}:"))) {
                volumes.push(format!("{mount}{end}"));
            }
        }
    }
    words.extend(volumes.into_iter().map(|volume| format!("--volume={volume}")));
    words.extend(server.env.keys().map(|name| format!("--env={name}")));
    words.push(container.image.clone());
    let words = words.into_iter().map(Text::plain);
    words.chain(container.args.iter().cloned()).collect()
}

/// Secrets that stand in it are not copied: those that can be had from elsewhere are named as variables, and
/// servers with others are left out.
pub(super) fn secrets(deployment: &mut Deployment, report: &mut Report) {
    let moved = crate::secret::move_inline(deployment, &mut |path| {
        let name = path.trim_start_matches("servers.").trim_start_matches("gateway.keys.");
        let words: Vec<&str> =
            name.split('.').filter(|word| !matches!(*word, "env" | "headers" | "oauth")).collect();
        let variable = variable_name(&words.join("_"), "");
        Some(format!("{MARK}{}", variable.trim_end_matches('_')))
    });
    for one in &moved {
        let variable = one.place.trim_start_matches(MARK);
        let meaning =
            format!("the secret that stands there is not copied: put it into the variable {variable}");
        report.approximated(one.path.clone(), false, meaning);
    }
    let named = |piece: &Piece| match piece {
        Piece::File(file) => file.strip_prefix(MARK).map_or_else(|| piece.clone(), env),
        piece => piece.clone(),
    };
    for server in deployment.servers.values_mut() {
        let oauth = server.oauth.as_mut().and_then(|oauth| oauth.client_secret.as_mut());
        for value in server.env.values_mut().chain(server.headers.values_mut()).chain(oauth) {
            *value = value.pieces().iter().map(named).collect();
        }
    }
    for found in crate::secret::inline(deployment) {
        let Some(name) = found.server else { continue };
        if deployment.servers.shift_remove(&name).is_some() {
            let meaning =
                "a secret stands in its command or URL, from where it is not copied: the server is left out";
            report.dropped(found.path, false, meaning);
        }
    }
}

/// What other stores and people give becomes variables of the environment.
pub(super) fn references(deployment: &mut Deployment, report: &mut Report) {
    for (name, server) in &mut deployment.servers {
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            for (key, value) in values.iter_mut() {
                variables(value, &format!("servers.{name}.{part}.{key}"), report);
            }
        }
        if let Some(oauth) = &mut server.oauth {
            for (key, value) in
                [("client_id", &mut oauth.client_id), ("client_secret", &mut oauth.client_secret)]
            {
                if let Some(value) = value {
                    variables(value, &format!("servers.{name}.oauth.{key}"), report);
                }
            }
        }
    }
    let used = |id: &str| {
        let words = deployment.servers.values().flat_map(|server| server.argv.iter().chain(&server.url));
        words.flat_map(Text::pieces).any(|piece| *piece == Piece::Input(id.to_owned()))
    };
    let unused: Vec<String> = deployment.inputs.keys().filter(|id| !used(id)).cloned().collect();
    unused.iter().for_each(|id| drop(deployment.inputs.shift_remove(id)));
}

fn variables(value: &mut Text, at: &str, report: &mut Report) {
    let pieces = value.pieces().iter().map(|piece| match piece {
        Piece::Vault { scheme, reference } => {
            let variable = variable_name(reference, "").trim_end_matches('_').to_owned();
            let meaning = format!("put {reference:?} of the store {scheme:?} into the variable {variable}");
            report.approximated(at, false, meaning);
            env(&variable)
        }
        Piece::Input(id) => {
            let variable = variable_name(id, "").trim_end_matches('_').to_owned();
            report.approximated(
                at,
                false,
                format!("nobody is asked: put the value into the variable {variable}"),
            );
            env(&variable)
        }
        piece => piece.clone(),
    });
    *value = pieces.collect();
}
