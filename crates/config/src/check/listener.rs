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
    if config.telemetry.sample_one_in == 0 {
        let hint = Some("take otlp_endpoint out to send no traces".to_owned());
        report.value(&Path::keys(["telemetry", "sample_one_in"]), "expected a number from 1", hint);
    }
    let baggage = Path::keys(["telemetry", "forward_baggage"]);
    for (index, name) in config.telemetry.forward_baggage.iter().enumerate() {
        // A token (RFC 9110, section 5.6.2), as W3C Baggage has it.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            report.value(&baggage.index(index), "expected the name of a baggage member", None);
        }
    }
    if config.telemetry.service_name.trim().is_empty() {
        report.value(&Path::keys(["telemetry", "service_name"]), "expected a name", None);
    }
}
