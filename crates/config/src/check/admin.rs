//! Where operators come in.

use std::net::SocketAddr;

use super::Report;
use crate::section::{Admin, Config};
use crate::source::Path;
use crate::value::{Address, parse_listen};

/// A token of fewer characters can be guessed.
const TOKEN_CHARS_MIN: usize = 32;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Admin { listen, token } = &config.admin;
    let path = Path::keys(["admin"]);
    // What stands elsewhere is checked when it is read.
    if let Some(Address::Here(text)) = listen {
        let fault = match parse_listen(text) {
            Err(error) => Some(error.to_string()),
            Ok(listen) => listen_fault(listen),
        };
        if let Some(fault) = fault {
            report.value(&path.key("listen"), fault, None);
        }
    }
    if let Some(fault) = token.as_ref().and_then(|token| token.written_out()).and_then(token_fault) {
        report.value(&path.key("token"), fault, None);
    }
    match (listen, token) {
        (Some(_), None) => {
            let hint = Some("give \"token\", as in {env: TIDEGATE_ADMIN_TOKEN}".to_owned());
            report.absent(&path, "operators prove themselves by a token, and there is none", hint);
        }
        (None, Some(_)) => {
            let hint = Some("give \"listen\" too, as in 127.0.0.1:7402".to_owned());
            report.absent(&path, "there is a \"token\" for operators and nothing listens for them", hint);
        }
        _ => {}
    }
}

/// Why operators cannot come in there.
pub(crate) fn listen_fault(listen: SocketAddr) -> Option<String> {
    let text = "expected an address of the loopback interface, such as 127.0.0.1:7402";
    (!listen.ip().is_loopback()).then(|| text.to_owned())
}

/// Why a token is none.
pub(crate) fn token_fault(token: &str) -> Option<String> {
    let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
    let text = format!("expected at least {TOKEN_CHARS_MIN} characters, of ASCII and without spaces");
    (token.len() < TOKEN_CHARS_MIN || !visible).then_some(text)
}
