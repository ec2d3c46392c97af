//! What is there to run a package with.

use std::path::Path;

/// Whether a program is found as it would be when it is started.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command by a program that is there, where another one does the same.
pub fn present(argv: Vec<String>, risks: &mut Vec<String>) -> Vec<String> {
    let program = argv.first().cloned().unwrap_or_default();
    if is_there(&program) {
        return argv;
    }
    if is_there("pipx")
        && let Some(other) = by_pipx(&argv)
    {
        risks.push("uvx is not here; pipx runs the same package".to_owned());
        return other;
    }
    let program = program.rsplit('/').next().unwrap_or_default();
    risks.push(format!("{program} is not found here: the server will not start before it is"));
    argv
}

/// `uvx NAME@VERSION …` as pipx has it. Options of uvx mean nothing to it.
fn by_pipx(argv: &[String]) -> Option<Vec<String>> {
    let [program, target, rest @ ..] = argv else { return None };
    let (name, version) = target.rsplit_once('@').filter(|_| program == "uvx" && !target.starts_with('-'))?;
    let spec = format!("{name}=={version}");
    let words = ["pipx", "run", "--spec", &spec, name].map(str::to_owned);
    Some(words.into_iter().chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipx_runs_what_uvx_would_and_nothing_with_options_of_its_own() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = by_pipx(&words("uvx mcp-server-time@1.2.3 --local x"));
        assert_eq!(found, Some(words("pipx run --spec mcp-server-time==1.2.3 mcp-server-time --local x")));
        assert_eq!(by_pipx(&words("uvx --quiet a@1")), None);
        assert_eq!(by_pipx(&words("npx a@1")), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_told_of() {
        let mut risks = Vec::new();
        let argv = vec!["a-program-that-nobody-has".to_owned()];
        assert_eq!(present(argv.clone(), &mut risks), argv);
        assert!(risks[0].contains("not found here"), "{risks:?}");
        risks.clear();
        present(vec!["sh".to_owned()], &mut risks);
        assert!(risks.is_empty());
    }
}
