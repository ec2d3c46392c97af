//! From a configuration to what runs under it. Upstreams whose section did not change are kept as they are.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use catalog::{
    Drift, Endpoint, EndpointOptions, Filter, Group, Life, Naming, Part, PinRule, Pinned, ReadOptions,
    Source, SourceOptions,
};
use config::{Config, Glob, Transport};
use egress::{EgressError, Guard as Reach, Http, HttpOptions, TlsOptions};
use http::{HeaderName, HeaderValue};
use identity::{Tokens, Users};
use model::{NameError, Principal, UpstreamName};
use protocol::{Raw, Revision};
use upstream::{
    BreakerOptions, EjectOptions, HealthOptions, HedgeAfter, HttpTransport, Options, Resilience, Sharing,
    Stdio, Target, Timeouts, Upstream,
};

use crate::app::{EVERYTHING, Generation, Limits};
use crate::barred::StoreBars;
use crate::checks::{Checks, Unprepared};
use crate::credentials;
use crate::door::{self, DoorError, Issuers};
use crate::extensions::Extensions;
use crate::find;
use crate::guard::Guard;
use crate::handles::Handles;
use crate::hosted::Hosting;
use crate::hub::Hub;
use crate::overload::Gate;
use crate::pins::{PinBoard, UpstreamPins};
use crate::policies::{Policies, PolicyError};
use crate::published::{self, Shown};
use crate::replay::Repeatable;
use crate::trace::{Choices, LogCalls, Watch};
use crate::vault::StoreVault;
use crate::web_api;

/// What all configurations of a process share.
#[derive(Clone)]
pub struct Shared {
    /// Keys, clock, randomness.
    pub handles: Handles,
    /// Who listens for changes.
    pub hub: Arc<Hub>,
    /// Who the gateway says it is: an `Implementation`.
    pub server_info: Raw,
    /// Calls on all upstreams that wait for input.
    pub parked: Arc<AtomicUsize>,
    /// Who is told of what goes to upstreams.
    pub watch: Watch,
    /// Proofs of possession that were seen, whatever configuration they came under.
    pub(crate) dpop: Arc<identity::Dpop>,
    /// What users have granted.
    pub(crate) vault: Arc<StoreVault>,
    /// Who is let in no more.
    pub(crate) barred: Arc<StoreBars>,
    /// Which definitions are approved.
    pub(crate) pins: Arc<PinBoard>,
    /// Who was let in a moment ago.
    pub(crate) seen: Arc<identity::Seen>,
    /// How many calls run, whatever configuration they began with.
    pub(crate) gate: Arc<Gate>,
}

/// Why a configuration cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A name that the loader let through.
    #[error("use a name of the configuration")]
    Name(#[from] NameError),
    /// A secret could not be had.
    #[error("resolve upstreams.{upstream}")]
    Secret {
        /// Whose.
        upstream: String,
        /// Which and why.
        source: config::SecretError,
    },
    /// Secrets of several upstreams could not be had.
    #[error("resolve secrets of {} upstreams: {}", .0.len(), told(.0))]
    Secrets(Vec<(String, config::SecretError)>),
    /// A file could not be read.
    #[error("read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The gateway cannot prove itself to an upstream as the configuration says.
    #[error("use upstreams.{upstream}.auth: {fault}")]
    Credentials {
        /// Which.
        upstream: String,
        /// Why not.
        fault: String,
    },
    /// The client for an upstream could not be made.
    #[error("prepare upstream {upstream}")]
    Egress {
        /// Which.
        upstream: String,
        /// Why.
        source: EgressError,
    },
    /// A check cannot be made as the configuration says.
    #[error(transparent)]
    Check(#[from] Unprepared),
    /// There is nothing to decide by.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Nothing can be told about an endpoint as the configuration says.
    #[error("publish discovery.cards.{endpoint}: {fault}")]
    Card {
        /// Which.
        endpoint: String,
        /// Why not.
        fault: String,
    },
    /// Nobody can be let in as the configuration says.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The client for other replicas could not be made.
    #[error("prepare to reach other replicas")]
    Replicas(#[source] EgressError),
    /// A URL that the loader let through.
    #[error("use upstreams.{upstream}.url")]
    Url {
        /// Whose.
        upstream: String,
        /// Why.
        source: http::uri::InvalidUri,
    },
}

fn told(all: &[(String, config::SecretError)]) -> String {
    let each = all.iter().map(|(upstream, error)| format!("{upstream}: {error}: {}", error.kind));
    each.collect::<Vec<_>>().join("; ")
}

/// Makes a generation. Must be called within a tokio runtime.
///
/// # Errors
/// [`ComposeError`]; nothing of the previous generation was touched.
pub fn compose(
    config: &Config,
    shared: &Shared,
    before: Option<&Generation>,
) -> Result<Generation, ComposeError> {
    let Entrance { gate, issuers, sign_ins, broker, shown } = Entrance::new(config, shared, before)?;
    let (Policies { engine: policy, labels }, checks) = (Policies::of(config)?, Checks::of(config, shared)?);
    let (mut all_values, mut users) = (Values::all(config)?, HashMap::<String, Arc<Users>>::new());
    let (mut sources, mut fingerprints) = (HashMap::new(), HashMap::new());
    let (mut forward_headers, mut made) = (HashMap::new(), Vec::new());
    for (name, section) in config.upstreams_enabled() {
        let Some(values) = all_values.remove(name) else { continue };
        let fingerprint = (section.fingerprint(), values.fingerprint(config));
        let kept = before
            .filter(|g| g.fingerprints.get(name) == Some(&fingerprint))
            .filter(|g| vouching(section, &g.issuers) == vouching(section, &issuers))
            .and_then(|g| g.sources.get(name));
        let lists = source_options(config, section);
        let known = before.filter(|_| kept.is_some()).and_then(|g| g.users.get(name)).map(Arc::clone);
        let own = match known {
            Some(known) => Some(known),
            None => users_of(name, section, &values, (config, shared, &issuers))?,
        };
        users.extend(own.iter().map(|own| (name.to_owned(), Arc::clone(own))));
        let source = match kept {
            Some(source) if source.options() == lists => Arc::clone(source),
            Some(source) => source_of(name, Arc::clone(source.upstream()), lists, own, shared),
            None => {
                let upstream = make_upstream(name, section, values, own.as_ref(), (config, shared))?;
                made.push(Arc::clone(&upstream));
                source_of(name, upstream, lists, own, shared)
            }
        };
        let names = section.forward_headers.iter().filter_map(|h| h.parse().ok()).collect();
        forward_headers.insert(name.to_owned(), names);
        fingerprints.insert(name.to_owned(), fingerprint);
        sources.insert(name.to_owned(), source);
    }
    // Only now that nothing can fail: the hub must not forget upstreams of the configuration in force.
    made.iter().for_each(|upstream| shared.hub.watch(upstream));
    let endpoints = endpoints(config, shared, &sources);
    let tenants = endpoints.keys().map(|name| (name.clone(), shared.gate.tenant(name))).collect();
    Ok(Generation {
        number: before.map_or(1, |g| g.number + 1),
        endpoints,
        tenants,
        sources,
        fingerprints,
        forward_headers,
        repeatable: repeatable(config),
        hosting: Hosting::of(config),
        policy,
        labels,
        checks,
        guard: guard(config),
        broker,
        broker_sign_ins: broker_sign_ins(config),
        gate,
        issuers,
        users,
        sign_ins,
        url: config.auth.url.clone(),
        shown,
        limits: limits(config),
        rates: config.rates.clone(),
        finders: find::finders(config),
        extensions: Extensions::new(config),
        watch: watched(&config.telemetry),
    })
}

fn repeatable(config: &Config) -> HashMap<String, Repeatable> {
    let rules = |section: &config::Upstream| Repeatable {
        named: section.idempotent.clone(),
        // Those of a web API are the gateway's own, made of its methods.
        hints: section.trust_hints || section.openapi.is_some(),
    };
    config.upstreams_enabled().map(|(name, section)| (name.to_owned(), rules(section))).collect()
}

fn guard(config: &Config) -> Guard {
    let own = config.auth.url.clone();
    Guard { hosts: config.host_list(), origins: config.origin_list(), own }
}

fn broker_sign_ins(config: &Config) -> Vec<String> {
    config.auth.broker.as_ref().map(|own| own.sign_in.clone()).unwrap_or_default()
}

/// Who comes in, and by whom, and what is told before.
struct Entrance {
    gate: identity::Gate,
    issuers: Issuers,
    sign_ins: HashMap<String, identity::SignIn>,
    broker: Option<Arc<identity::Broker>>,
    shown: Shown,
}

impl Entrance {
    fn new(config: &Config, shared: &Shared, before: Option<&Generation>) -> Result<Self, ComposeError> {
        let keys = &shared.handles.keys;
        let tokens = config.auth.broker.as_ref().map(|_| Arc::new(Tokens::new(Arc::clone(keys))));
        let (gate, issuers) = door::gate(config, &shared.handles.clock, &shared.dpop, tokens, before)?;
        let list = shared.barred.list();
        let gate = gate.barring(Arc::clone(list)).seeing(Arc::clone(&shared.seen));
        let vault = Arc::clone(&shared.vault) as Arc<dyn identity::Vault>;
        let sign_ins = door::sign_ins(config, &shared.handles, &issuers, (&vault, list))?;
        let broker = door::broker(config, shared, &issuers, &sign_ins)?;
        let shown = Shown::of(config, &gate, (before.map(|g| &g.shown), shared.handles.clock.now()))?;
        Ok(Self { gate, issuers, sign_ins, broker, shown })
    }
}

/// What is offered of an upstream: the same to all, or to each user his own.
fn source_of(
    name: &str,
    upstream: Arc<Upstream>,
    lists: SourceOptions,
    users: Option<Arc<Users>>,
    shared: &Shared,
) -> Arc<Source> {
    let pinned = lists
        .pins
        .map(|rule| Pinned { pins: Arc::new(UpstreamPins::new(Arc::clone(&shared.pins), name, rule)), rule });
    let Some(users) = users else { return Source::new(upstream, lists, pinned) };
    let (name, shared) = (name.to_owned(), Arc::clone(&upstream));
    let make = move |principal: &Principal| shared.on_behalf(credentials::of_user(&name, &users, principal));
    Source::per_user(upstream, lists, Box::new(make), pinned)
}

/// How the definitions of an upstream are held.
fn pin_rule(pins: &config::Pins) -> PinRule {
    PinRule {
        drift: match pins.drift {
            config::Drift::Allow => Drift::Allow,
            config::Drift::Warn => Drift::Warn,
            config::Drift::Quarantine => Drift::Quarantine,
            config::Drift::Deny => Drift::Deny,
        },
        approve_first: pins.first == config::FirstSight::Approve,
        reread: pins.reread.duration(),
    }
}

/// Who vouches for the users of an upstream.
fn vouching<'a>(section: &config::Upstream, issuers: &'a Issuers) -> Option<&'a config::Issuer> {
    let own = section.auth.as_ref()?.voucher()?;
    issuers.get(own.issuer).map(|(section, _)| section)
}

/// The users of an upstream, where each proves himself.
fn users_of(
    name: &str,
    section: &config::Upstream,
    values: &Values,
    (config, shared, issuers): (&Config, &Shared, &Issuers),
) -> Result<Option<Arc<Users>>, ComposeError> {
    let (auth, url) = (section.auth.as_ref().filter(|auth| auth.per_user), web_api::place(section));
    let (Some(auth), Some(url)) = (auth, url) else { return Ok(None) };
    let url: http::Uri =
        url.parse().map_err(|source| ComposeError::Url { upstream: name.to_owned(), source })?;
    let vault = Arc::clone(&shared.vault) as Arc<dyn identity::Vault>;
    let place = (&url, values.ca.clone());
    let own = (config.auth.url.as_deref(), &shared.handles, vault);
    let known = auth.voucher().and_then(|own| issuers.get(own.issuer));
    let enterprise = credentials::enterprise(name, auth, known)?;
    credentials::users(name, auth, place, values.auth.as_ref(), own, enterprise).map(Some)
}

fn watched(telemetry: &config::Telemetry) -> Choices {
    let calls = match telemetry.log_calls {
        config::LogCalls::All => LogCalls::All,
        config::LogCalls::Failed => LogCalls::Failed,
        config::LogCalls::None => LogCalls::None,
    };
    Choices { calls, baggage: telemetry.forward_baggage.clone() }
}

fn limits(config: &Config) -> Limits {
    let l = &config.limits;
    Limits {
        request_bytes_max: l.request_bytes_max.as_usize(),
        header_bytes_max: l.header_bytes_max.as_usize(),
        body_read_timeout: l.body_read_timeout.duration(),
        connections_max: l.connections_max,
        header_count_max: l.header_count_max,
        header_read_timeout: l.header_read_timeout.duration(),
        calls_max: l.calls_max,
        calls_per_tenant_max: l.calls_per_tenant(),
        queue_max: l.queue_max,
        queue_time_max: l.queue_time_max.duration(),
        memory_max: l.memory_max.map(config::Size::bytes),
        streams_max: l.streams_max,
        subscriptions_per_stream_max: l.subscriptions_per_stream_max,
        batch_max: l.batch_max,
        stream_buffer_events_max: l.stream_buffer_events_max,
        stream_buffer_bytes_max: l.stream_buffer_bytes_max.as_usize(),
        sessions_max: l.sessions_max,
        session_time: config.sessions.ttl.duration(),
        detached_time: config.sessions.resume_timeout.duration(),
        poll_after: config.sessions.poll_after.map(config::Span::duration),
        answer_time: l.park_time_max.duration(),
        drain_delay: config.drain_delay.duration(),
        drain_time: config.drain_timeout.duration(),
    }
}

/// What an upstream is made of that does not stand in its section itself.
#[derive(Hash)]
struct Values {
    env: Vec<(String, config::SecretText)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    ca: Option<Vec<u8>>,
    auth: Option<config::SecretText>,
    credentials: Vec<(String, config::SecretText)>,
}

impl Values {
    /// Those of all upstreams by name. All secrets that are missing are told at once.
    fn all(config: &Config) -> Result<HashMap<String, Self>, ComposeError> {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for (name, section) in config.upstreams_enabled() {
            match Self::look_up(name, section) {
                Ok(values) => drop(found.insert(name.to_owned(), values)),
                Err(ComposeError::Secret { upstream, source }) => missing.push((upstream, source)),
                Err(error) => return Err(error),
            }
        }
        let Some((upstream, source)) = missing.pop() else { return Ok(found) };
        if missing.is_empty() {
            return Err(ComposeError::Secret { upstream, source });
        }
        missing.push((upstream, source));
        Err(ComposeError::Secrets(missing))
    }

    fn look_up(name: &str, section: &config::Upstream) -> Result<Self, ComposeError> {
        let env = |name: &str| std::env::var(name).ok();
        let read = crate::secret::fetch;
        let config::Resolved { env, headers, auth, credentials } = section
            .resolve(&env, &read)
            .map_err(|source| ComposeError::Secret { upstream: name.to_owned(), source })?;
        let failed = |path: &Path, source| ComposeError::File { path: path.display().to_string(), source };
        let ca = section.tls.ca.as_ref().map(|path| std::fs::read(path).map_err(|error| failed(path, error)));
        Ok(Self { env, headers, ca: ca.transpose()?, auth, credentials })
    }

    /// These and the limits of the gateway that an upstream is made with.
    fn fingerprint(&self, config: &Config) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        (self, &config.limits, &config.auth.url).hash(&mut hasher);
        hasher.finish()
    }
}

fn source_options(config: &Config, section: &config::Upstream) -> SourceOptions {
    SourceOptions {
        list_ttl: section.list_ttl.map(config::Span::duration),
        unhinted_ttl: config.cache.list_ttl.duration(),
        ttl_max: config.cache.ttl_max.duration(),
        items_max: config.limits.list_items_max,
        pages_max: config.limits.list_pages_max,
        lists_max: config.cache.entries_max as u64,
        reads: ReadOptions {
            ttl_max: if config.cache.enabled { config.cache.ttl_max.duration() } else { Duration::ZERO },
            bytes_max: config.cache.bytes_max.bytes(),
            entry_bytes_max: config.cache.entry_bytes_max.as_usize(),
        },
        pins: section.pins.as_ref().or(config.pins.as_ref()).map(pin_rule),
    }
}

/// What is done where an upstream fails.
fn resilience(name: &str, section: &config::Upstream) -> Result<Resilience, ComposeError> {
    let config::Resilience {
        breaker,
        retries,
        backoff,
        budget_percent,
        budget_min,
        hedge_after,
        eject,
        health,
    } = &section.resilience;
    let urls = section.urls.iter().map(|url| url.parse());
    let urls = urls.collect::<Result<_, _>>();
    Ok(Resilience {
        breaker: breaker.as_ref().map(|breaker| BreakerOptions {
            failures_percent: breaker.failures_percent,
            calls_min: u64::from(breaker.calls_min),
            window: breaker.window.duration(),
            open: breaker.open.duration(),
            probes: u64::from(breaker.probes),
        }),
        retries: *retries,
        backoff: backoff.duration(),
        budget_percent: u64::from(*budget_percent),
        budget_min: u64::from(*budget_min),
        hedge_after: hedge_after.map(|after| match after {
            config::Hedge::After(after) => HedgeAfter::Fixed(after.duration()),
            config::Hedge::P95 => HedgeAfter::P95,
        }),
        urls: urls.map_err(|source| ComposeError::Url { upstream: name.to_owned(), source })?,
        eject: EjectOptions {
            after: eject.after,
            time: eject.time.duration(),
            time_max: eject.time_max.duration(),
            percent_max: eject.percent_max as usize,
        },
        health: health.as_ref().map(|health| HealthOptions {
            interval: health.interval.duration(),
            timeout: health.timeout.duration(),
            path: health.path.clone(),
            down_after: health.down_after,
            up_after: health.up_after,
        }),
    })
}

fn make_upstream(
    name: &str,
    section: &config::Upstream,
    values: Values,
    users: Option<&Arc<Users>>,
    (config, shared): (&Config, &Shared),
) -> Result<Arc<Upstream>, ComposeError> {
    let t = &section.timeouts;
    let timeouts = Timeouts {
        connect: t.connect.duration(),
        first_byte: t.first_byte.duration(),
        idle: t.idle.duration(),
        total: t.total.duration(),
    };
    let l = &config.limits;
    let limits = upstream::Limits {
        response_buffer_bytes_max: l.response_buffer_bytes_max.as_usize(),
        message_bytes_max: l.upstream_message_bytes_max.as_usize(),
        sessions_max: l.upstream_sessions_max,
        kept_max: section.sessions_max,
        kept_idle: section.session_idle.duration(),
        parked_max: l.parked_calls_per_upstream_max,
        parked_total_max: l.parked_calls_max,
        parked_per_principal_max: l.parked_calls_per_principal_max,
        park_time_max: l.park_time_max.duration(),
    };
    let options = Options {
        name: UpstreamName::new(name)?,
        target: target(name, section, &values, (users, &shared.handles))?,
        pin: section.revision.and_then(|r| Revision::parse(r.as_str())),
        timeouts,
        concurrency_max: section.concurrency_max,
        limits,
        sharing: match section.sessions {
            config::Sharing::Shared => Sharing::Shared,
            config::Sharing::PerPrincipal => Sharing::PerPrincipal,
            config::Sharing::PerClient => Sharing::PerClient,
            config::Sharing::Handle => Sharing::Handle,
        },
        resilience: resilience(name, section)?,
        client_info: shared.server_info.clone(),
    };
    let http = client(name, values.ca, &timeouts)?;
    let (h, parked) = (&shared.handles, Arc::clone(&shared.parked));
    let upstream = Upstream::new(options, http, Arc::clone(&h.clock), Arc::clone(&h.rng), parked);
    upstream.observe(Arc::new(shared.watch.clone()));
    Ok(upstream)
}

fn sandbox(section: &config::Sandbox) -> egress::Sandbox {
    let config::Sandbox { read, write, home, network } = section;
    egress::Sandbox { read: read.clone(), write: write.clone(), home: home.clone(), network: *network }
}

fn target(
    name: &str,
    section: &config::Upstream,
    values: &Values,
    (users, handles): (Option<&Arc<Users>>, &Handles),
) -> Result<Target, ComposeError> {
    if let Some(argv) = &section.command {
        let s = &section.stdio;
        return Ok(Target::Stdio(Stdio {
            argv: argv.clone(),
            env: values.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            cwd: section.cwd.clone(),
            sandbox: section.sandbox.as_ref().map(sandbox),
            processes_max: s.processes_max,
            idle_stop: s.idle_stop.duration(),
            backoff_min: s.restart_backoff_min.duration(),
            backoff_max: s.restart_backoff_max.duration(),
            stderr_lines_max: s.stderr_lines_max,
        }));
    }
    let parse = |url: &str| -> Result<http::Uri, ComposeError> {
        url.parse().map_err(|source| ComposeError::Url { upstream: name.to_owned(), source })
    };
    let url = web_api::place(section).map(parse).transpose()?;
    let own = |(auth, url): (&config::UpstreamAuth, &http::Uri)| {
        let place = (url, values.ca.clone());
        credentials::credentials(name, auth, place, values.auth.as_ref(), handles)
    };
    let credentials = match users {
        Some(users) => Some(credentials::of_nobody(name, users)),
        None => section.auth.as_ref().zip(url.as_ref()).map(own).transpose()?,
    };
    if let Some(openapi) = &section.openapi {
        let proves = credentials.is_some();
        let api = web_api::api(name, openapi, &values.headers, &values.credentials, proves)?;
        return Ok(Target::Api { api, credentials });
    }
    let transport = match section.transport {
        Transport::Auto => HttpTransport::Auto,
        Transport::StreamableHttp => HttpTransport::Streamable,
        Transport::HttpSse => HttpTransport::SsePair,
    };
    let url = url.unwrap_or_default();
    Ok(Target::Http { url, transport, headers: values.headers.clone(), credentials })
}

fn client(name: &str, ca: Option<Vec<u8>>, timeouts: &Timeouts) -> Result<Http, ComposeError> {
    // The operator wrote the URL: any address is allowed.
    let options = HttpOptions {
        connect_timeout: timeouts.connect,
        guard: Reach::Operator,
        tls: TlsOptions { extra_ca_pem: ca, ..TlsOptions::default() },
        ..HttpOptions::default()
    };
    Http::new(options).map_err(|source| ComposeError::Egress { upstream: name.to_owned(), source })
}

fn endpoints(
    config: &Config,
    shared: &Shared,
    sources: &HashMap<String, Arc<Source>>,
) -> HashMap<String, Arc<Endpoint>> {
    let mut all = HashMap::new();
    let make = |options, parts| {
        let h = &shared.handles;
        Arc::new(Endpoint::new(options, parts, Arc::clone(&h.keys), Arc::clone(&h.clock), Arc::clone(&h.rng)))
    };
    let options = |name: &str, direct: bool| {
        let card = published::server_info(config, name);
        EndpointOptions {
            name: name.to_owned(),
            direct,
            filter: Filter::default(),
            page_size: config.limits.page_size,
            by_card: card.is_some(),
            server_info: card.unwrap_or_else(|| shared.server_info.clone()),
            instructions: None,
            lifecycle: config::Lifecycle::default(),
            experimental: false,
        }
    };
    let enabled: Vec<&str> = config.upstreams_enabled().map(|(name, _)| name).collect();
    let none = || std::iter::empty();
    let parts = enabled.iter().filter_map(|name| part(config, sources, name, none())).collect();
    all.insert(EVERYTHING.to_owned(), make(options(EVERYTHING, false), parts));
    for name in &enabled {
        let (Some(section), Some(source)) = (config.upstreams.get(*name), sources.get(*name)) else {
            continue;
        };
        let naming = Naming::direct(section.aliases.clone());
        let (filter, life) = (own_filter(section), Life::of(section));
        let part = Part { source: Arc::clone(source), naming, filter, life, group: None };
        let lifecycle = section.lifecycle.clone().unwrap_or_default();
        let options = EndpointOptions { lifecycle, ..options(name, true) };
        all.insert((*name).to_owned(), make(options, vec![part]));
    }
    for (name, section) in &config.endpoints {
        let aliases = || section.aliases.clone().into_iter();
        let parts = section.upstreams.iter().filter_map(|u| part(config, sources, u, aliases())).collect();
        let options = EndpointOptions {
            filter: Filter::new(
                globs(section.expose.as_deref()).as_deref(),
                &globs(Some(&section.hide)).unwrap_or_default(),
            ),
            page_size: section.page_size.unwrap_or(config.limits.page_size),
            instructions: section.instructions.clone(),
            lifecycle: section.lifecycle.clone().unwrap_or_default(),
            experimental: section.experimental,
            ..options(name, false)
        };
        all.insert(name.clone(), make(options, parts));
    }
    all
}

fn part(
    config: &Config,
    sources: &HashMap<String, Arc<Source>>,
    name: &str,
    aliases: impl Iterator<Item = (String, String)>,
) -> Option<Part> {
    let (section, source) = (config.upstreams.get(name)?, sources.get(name)?);
    let prefix = format!("{name}{}", config.names.separator);
    let naming = Naming::prefixed(prefix, config.names.max, section.aliases.clone(), aliases);
    let life = Life::of(section);
    let group = Group { description: section.description.clone() };
    let group = config.discovery.experimental_groups.then_some(group);
    Some(Part { source: Arc::clone(source), naming, filter: own_filter(section), life, group })
}

fn own_filter(section: &config::Upstream) -> Filter {
    Filter::new(globs(section.expose.as_deref()).as_deref(), &globs(Some(&section.hide)).unwrap_or_default())
}

fn globs(list: Option<&[Glob]>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(|glob| glob.as_str().to_owned()).collect())
}
