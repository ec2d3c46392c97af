//! Callers who prove themselves by a certificate.

use super::Report;
use super::auth::{check_scopes, check_tenant};
use crate::section::{Config, Mtls};
use crate::source::Path;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Some(Mtls { ca, subject: _, identities: _, tenant, scopes }) = &config.auth.mtls else { return };
    let path = Path::keys(["auth", "mtls"]);
    if config.tls.is_none() {
        let hint = Some("give \"tls\": what a proxy says of a certificate is not believed".to_owned());
        report.key(&path, "client certificates come by the gateway's own TLS alone", hint);
    }
    if ca.as_os_str().is_empty() {
        report.value(&path.key("ca"), "expected the path of a file", None);
    }
    check_tenant(tenant.as_deref(), &path.key("tenant"), report);
    check_scopes(scopes, &path.key("scopes"), report);
}
