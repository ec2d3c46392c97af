//! The gateway's own configuration.

mod foreign;
mod others;
mod read;
mod sections;
mod write;

use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Scope};
use crate::report::Report;
use crate::syntax::{Source, parse_yaml};

pub(crate) use others::for_others;
pub(crate) use sections::{rate as rate_section, section as issuer_section};
pub(crate) use write::secret;

/// `tidegate.yaml`.
pub struct Tidegate;

/// The first line of a file that is written anew, by which editors find the schema of the same version beside
/// it: `tidegate config schema` prints that.
pub const SCHEMA_LINE: &str = "# yaml-language-server: $schema=./config.schema.json\n";

/// Where the gateway listens where nothing is said.
pub(crate) const LISTEN: &str = "127.0.0.1:7400";

impl Format for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn title(&self) -> &'static str {
        "Tidegate"
    }

    fn known(&self) -> &'static [Known] {
        &[Known { path: "tidegate.yaml", scope: Scope::Project }]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let is_named = file_name == "tidegate.yaml";
        if !is_named && !text.contains("upstreams") {
            return Likeness::No;
        }
        let Ok(source) = Source::new(text, file_name) else { return Likeness::No };
        let has = parse_yaml(&source).is_ok_and(|root| root.get("upstreams").is_some());
        match (has, is_named) {
            (true, true) => Likeness::Surely,
            (true, false) => Likeness::Likely,
            (false, true) => Likeness::Maybe,
            (false, false) => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        read::import(text, origin)
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::export(self, deployment, target)
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio
            | Field::Http
            | Field::Sse
            | Field::Auto
            | Field::Description
            | Field::Cwd
            | Field::Env
            | Field::Headers
            | Field::ForwardHeaders
            | Field::OauthClient
            | Field::OauthSecret
            | Field::OauthScopes
            | Field::Enabled
            | Field::ToolsAllow
            | Field::ToolsDeny
            | Field::StartTimeout
            | Field::CallTimeout
            | Field::ReadTimeout
            | Field::Listen
            | Field::Endpoints
            | Field::EndpointAliases
            | Field::ListenTls => Support::Kept,
            Field::Issuers => Support::Partly("all together: the scopes of each are asked of every token"),
            Field::Limits => Support::Partly("requests in a day at most or at a time, counted by callers"),
            Field::Origins => Support::Partly("each by its name; no patterns but for any port"),
            Field::OauthPlaces => Support::Partly("the issuer alone; the rest is found by its metadata"),
            Field::EnvInValues => Support::Partly("after some text, and as the end of the value"),
            Field::File => Support::Partly("after some text, and as the end of the value"),
            Field::Input => Support::Partly("a variable of the environment, to be set, in `env` and headers"),
            Field::Vault => Support::Partly("a variable of the environment, to be set, in `env` and headers"),
            Field::Package => Support::Partly("by the version that stands in its command; no digest"),
            Field::TlsCa => Support::Partly("certificate authorities alone"),
            Field::EndpointTools => Support::Partly("as patterns over the names that the endpoint has"),
            Field::Container => Support::Partly("`docker run` starts it, which has to be here"),
            Field::Title => Support::Partly("as the description, where it has none"),
            Field::TrustAll | Field::TrustTools => {
                Support::Dropped("whether a person is asked is the client's, and a policy's here")
            }
            Field::OauthReturn => Support::Dropped("users come back to the gateway's own page"),
            Field::Rules => Support::Dropped("nobody decides until a policy says so: write it in Cedar"),
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        write::adjust(deployment, report);
    }

    fn tested(&self) -> Tested {
        Tested::Program("this version")
    }
}
