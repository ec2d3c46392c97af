//! `tidegate health`: whether the gateway on this machine takes work, for images in which nothing else could
//! ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use config::Config;
use egress::{Body, Guard, Http, HttpOptions, Timeouts, TlsOptions};
use http::uri::PathAndQuery;
use http::{Request, StatusCode, Uri};

use crate::cli::Source;
use crate::{load, out};

/// What is asked for.
const READY: &str = "/readyz";
/// How long everything may take: less than an orchestrator waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of the reason is read.
const WHY_BYTES_MAX: usize = 1024;

/// Whom to ask.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Ask there, and not where the configuration says that the gateway listens; at `/readyz`, unless there
    /// is a path.
    #[arg(long, value_name = "URL", value_parser = ready_url)]
    url: Option<Uri>,
}

/// Asks, and says what came of it.
///
/// # Errors
/// Where the gateway is not ready or cannot be asked. None of them has an exit code of its own: whoever runs
/// this knows zero and one.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let url = match arguments.url {
        Some(url) => url,
        None => {
            let loaded = load::load(&arguments.source).map_err(|error| anyhow!("{error:#}"))?;
            own_url(&loaded.config)?
        }
    };
    ask(&url).await.with_context(|| format!("find {url} ready"))?;
    out::line("ready");
    Ok(0)
}

async fn ask(url: &Uri) -> anyhow::Result<()> {
    let options = HttpOptions {
        connect_timeout: PATIENCE,
        guard: Guard::Operator,
        tls: TlsOptions { any_on_loopback: true, ..TlsOptions::default() },
        ..HttpOptions::default()
    };
    let timeouts = Timeouts { total: Some(PATIENCE), ..Timeouts::default() };
    let request = Request::get(url).body(Body::default())?;
    let response = Http::new(options)?.send(request, &timeouts).await?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let why = response.into_body().collect(WHY_BYTES_MAX).await.unwrap_or_default();
    let why = String::from_utf8_lossy(&why);
    bail!("{}: {}", status.as_u16(), out::plain(why.trim()))
}

/// Where a gateway with this configuration says whether it is ready, as seen from its own machine.
fn own_url(config: &Config) -> anyhow::Result<Uri> {
    let listen = config.listen;
    if listen.port() == 0 {
        bail!("know where the gateway listens: `listen` takes any port; give --url");
    }
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{}{READY}", SocketAddr::new(ip, listen.port())).parse()?)
}

/// Reads a URL, with the path where readiness is told if it has none.
fn ready_url(text: &str) -> Result<Uri, String> {
    let mut parts = text.parse::<Uri>().map_err(|error| error.to_string())?.into_parts();
    let known = parts.scheme.as_ref().is_some_and(|scheme| ["http", "https"].contains(&scheme.as_str()));
    if !known || parts.authority.is_none() {
        return Err("expected a URL such as http://127.0.0.1:7400".to_owned());
    }
    if parts.path_and_query.as_ref().is_none_or(|path| path == "/") {
        parts.path_and_query = Some(PathAndQuery::from_static(READY));
    }
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_asked_where_it_can_be_reached_from_its_own_machine() {
        for (listen, url) in [
            ("127.0.0.1:7400", "http://127.0.0.1:7400/readyz"),
            ("0.0.0.0:80", "http://127.0.0.1:80/readyz"),
            ("[::]:7400", "http://[::1]:7400/readyz"),
            ("10.0.0.11:7400", "http://10.0.0.11:7400/readyz"),
        ] {
            let listen = listen.parse().unwrap();
            assert_eq!(own_url(&Config { listen, ..Config::default() }).unwrap().to_string(), url);
        }
        let tls = Some(config::ListenTls { cert: "c".into(), key: "k".into() });
        let secure = own_url(&Config { tls, ..Config::default() }).unwrap();
        assert_eq!(secure.to_string(), "https://127.0.0.1:7400/readyz");
        let any = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        assert!(own_url(&any).unwrap_err().to_string().contains("give --url"));
    }

    #[test]
    fn a_url_without_a_path_means_readiness() {
        let read = |text: &str| ready_url(text).map(|url| url.to_string());
        assert_eq!(read("http://a:1").as_deref(), Ok("http://a:1/readyz"));
        assert_eq!(read("https://a/").as_deref(), Ok("https://a/readyz"));
        assert_eq!(read("http://a/healthz").as_deref(), Ok("http://a/healthz"));
        for bad in ["", "a:1", "127.0.0.1:7400", "/readyz", "ftp://a", "http://", "http://a b"] {
            assert!(ready_url(bad).is_err(), "{bad}");
        }
    }
}
