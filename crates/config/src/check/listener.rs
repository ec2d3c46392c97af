//! What clients see: hosts, origins, certificates, and where traces go.

use super::Report;
use super::url::{UrlUse, url_fault};
use crate::section::Config;
use crate::source::Path;
use crate::value::{HostList, OriginList};

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let hosts = Path::keys(["hosts"]);
    for (index, entry) in config.hosts.iter().flatten().enumerate() {
        if let Err(error) = HostList::new(std::slice::from_ref(entry)) {
            report.value(&hosts.index(index), error.to_string(), None);
        }
    }
    if config.hosts.as_ref().is_some_and(Vec::is_empty) {
        report.absent(
            &hosts,
            "an empty list would refuse every request",
            Some("take the key out to serve loopback names".to_owned()),
        );
    }
    let origins = Path::keys(["origins"]);
    for (index, entry) in config.origins.iter().flatten().enumerate() {
        if let Err(error) = OriginList::new(std::slice::from_ref(entry)) {
            report.value(&origins.index(index), error.to_string(), None);
        }
    }
    if let Some(tls) = &config.tls {
        for (key, file) in [("cert", &tls.cert), ("key", &tls.key)] {
            if file.as_os_str().is_empty() {
                report.value(&Path::keys(["tls", key]), "expected the path of a file", None);
            }
        }
    }
    if let Some(url) = &config.telemetry.otlp_endpoint
        && let Some((message, hint)) = url_fault(url, UrlUse::Telemetry)
    {
        report.value(&Path::keys(["telemetry", "otlp_endpoint"]), message, hint);
    }
    if config.telemetry.service_name.trim().is_empty() {
        report.value(&Path::keys(["telemetry", "service_name"]), "expected a name", None);
    }
}
