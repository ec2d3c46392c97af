//! The top of a configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin, Audit, Auth, Cache, CheckRule, Discovery, Endpoint, Extensions, Governance, Keys, LifeStage,
    Limits, ListenTls, Names, Pins, Policy, Rate, Replica, Sessions, Store, Tasks, Telemetry, Upstream,
    Variable,
};
use crate::value::{HostList, OriginList, Span, listen_from_text, listen_to_text};

/// The configuration of a gateway.
///
/// Every key has a default, so an empty file is a configuration too. A relative path starts at the folder of
/// the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Values with names, which others refer to as `${name}`: what is another one elsewhere.
    ///
    /// By default there are none, and `${` is text like any other. Since 0.1.
    pub variables: IndexMap<String, Variable>,

    /// The address and port to listen on.
    ///
    /// `localhost` stands for 127.0.0.1; other names are refused. Port 0 takes any free port. Since 0.1.
    #[serde(deserialize_with = "listen_from_text", serialize_with = "listen_to_text")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,

    /// The certificate to serve with TLS.
    ///
    /// By default the gateway speaks plain HTTP. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenTls>,

    /// The values of the `Host` header that are served: names, with or without a port; `*` is any.
    ///
    /// A request for another host is refused, which stops pages in a browser that pretend to be this machine.
    /// `/healthz` and `/readyz` alone answer to any, as probes speak to an address. By default the loopback
    /// names and the address of `listen`; a gateway behind a name or a proxy needs that name here. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,

    /// The origins of web pages that may call: `https://app.example.com`, with `:*` for any port; `*` is any.
    ///
    /// A request with another `Origin` header is refused; requests without one, as programs send them, are
    /// not concerned. By default pages of this machine (`localhost`, `127.0.0.1`, `[::1]`). Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,

    /// The servers behind the gateway, by name.
    ///
    /// A name has 1 to 32 of `a-z`, `0-9` and `-`. The upstream `crm` alone is served at `/crm/mcp`, and all
    /// of them together at `/mcp`, with names such as `crm_lookup`. Since 0.1.
    pub upstreams: IndexMap<String, Upstream>,

    /// Selections of what the upstreams offer, by name: `support` is served at `/support/mcp`.
    ///
    /// A name has 1 to 32 of `a-z`, `0-9` and `-`, and is not the name of an upstream. Since 0.1.
    pub endpoints: IndexMap<String, Endpoint>,

    /// What is published about endpoints: cards, a catalog, a registry.
    ///
    /// By default nothing. Since 0.1.
    pub discovery: Discovery,

    /// Which extensions of the protocol clients and servers may agree on through the gateway.
    ///
    /// By default all of them. Since 0.1.
    pub extensions: Extensions,

    /// Who may call.
    ///
    /// Since 0.1.
    pub auth: Auth,

    /// Who may do what of all that is offered.
    ///
    /// By default whoever may reach an endpoint may use all of it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,

    /// Who may decide what of this configuration.
    ///
    /// By default nobody is asked by the gateway: whoever writes the file has decided. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governance: Option<Governance>,

    /// How the names of tools and prompts are made where several upstreams meet.
    ///
    /// Since 0.1.
    pub names: Names,

    /// What is looked for in what passes, and what becomes of what is found: a list of rules.
    ///
    /// By default nothing. Since 0.1.
    pub checks: Vec<CheckRule>,

    /// How definitions of tools, prompts and resource templates are held to what was approved.
    ///
    /// By default they are not. `pins` of an upstream goes before it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,

    /// How much of everything there may be.
    ///
    /// Since 0.1.
    pub limits: Limits,

    /// How much of what callers may do: rates, calls at a time, quotas.
    ///
    /// By default no more than `limits` and the upstreams say. Since 0.1.
    pub rates: Vec<Rate>,

    /// What is kept of the upstreams' answers.
    ///
    /// Since 0.1.
    pub cache: Cache,

    /// Sessions of clients that speak a revision with sessions (2025-11-25 and older).
    ///
    /// Since 0.1.
    pub sessions: Sessions,

    /// Calls of tools that outlive their clients, as durable tasks.
    ///
    /// Since 0.1.
    pub tasks: Tasks,

    /// The record of who did what.
    ///
    /// Since 0.1.
    pub audit: Audit,

    /// The key ring that seals what clients carry.
    ///
    /// Since 0.1.
    pub keys: Keys,

    /// Where is kept what outlives a process.
    ///
    /// Since 0.1.
    pub store: Store,

    /// This process among others that serve the same clients.
    ///
    /// Since 0.1.
    pub replica: Replica,

    /// What operators see and do over HTTP.
    ///
    /// Since 0.1.
    pub admin: Admin,

    /// Logs and traces.
    ///
    /// Since 0.1.
    pub telemetry: Telemetry,

    /// A path for a socket by which another process takes this one's place without refusing a connection.
    ///
    /// A gateway that starts with a path at which another one is found gets its listening socket, serves, and
    /// has it drain. Only the same user can. By default nobody can. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<PathBuf>,

    /// How long everything is still served once the gateway was told to stop.
    ///
    /// `/readyz` says at once that it stops, so that a balancer in front has this time to notice; `0s` where
    /// there is none. Then no further connection is taken, and `drain_timeout` begins. Since 0.1.
    pub drain_delay: Span,

    /// How long running calls may still take when the gateway stops.
    ///
    /// Streams that only listen are closed at the beginning; a call that is still running at the end is
    /// ended, and its client is told. Since 0.1.
    pub drain_timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            variables: IndexMap::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            tls: None,
            hosts: None,
            origins: None,
            upstreams: IndexMap::new(),
            endpoints: IndexMap::new(),
            discovery: Discovery::default(),
            extensions: Extensions::default(),
            auth: Auth::default(),
            policy: None,
            governance: None,
            names: Names::default(),
            checks: Vec::new(),
            pins: None,
            limits: Limits::default(),
            rates: Vec::new(),
            cache: Cache::default(),
            sessions: Sessions::default(),
            tasks: Tasks::default(),
            audit: Audit::default(),
            keys: Keys::default(),
            store: Store::default(),
            replica: Replica::default(),
            admin: Admin::default(),
            telemetry: Telemetry::default(),
            takeover: None,
            drain_delay: Span::from_secs(0),
            drain_timeout: Span::from_secs(30),
        }
    }
}

impl Config {
    /// The hosts that are served: those of `hosts`, or those that `listen` implies.
    ///
    /// A loaded configuration has valid entries only. Where a program has put an invalid one here, nothing is
    /// served under it.
    #[must_use]
    pub fn host_list(&self) -> HostList {
        match &self.hosts {
            None => HostList::of_listen(self.listen),
            Some(entries) => {
                let valid: Vec<_> = entries
                    .iter()
                    .filter(|e| HostList::new(std::slice::from_ref(*e)).is_ok())
                    .cloned()
                    .collect();
                HostList::new(&valid).unwrap_or_else(|_| HostList::of_listen(self.listen))
            }
        }
    }

    /// The origins that may call: those of `origins`, or this machine's own pages.
    ///
    /// Invalid entries are treated as by [`Config::host_list`].
    #[must_use]
    pub fn origin_list(&self) -> OriginList {
        match &self.origins {
            None => OriginList::loopback(),
            Some(entries) => {
                let valid: Vec<_> = entries
                    .iter()
                    .filter(|e| OriginList::new(std::slice::from_ref(*e)).is_ok())
                    .cloned()
                    .collect();
                OriginList::new(&valid).unwrap_or_else(|_| OriginList::loopback())
            }
        }
    }

    /// The upstreams that are switched on, in the file's order. One that is only proposed is not: nobody
    /// starts it or connects to it before it is more.
    pub fn upstreams_enabled(&self) -> impl Iterator<Item = (&str, &Upstream)> {
        let on = |upstream: &Upstream| {
            let life = upstream.lifecycle.as_ref();
            upstream.enabled && life.is_none_or(|life| life.state != LifeStage::Proposed)
        };
        self.upstreams.iter().filter(move |(_, u)| on(u)).map(|(name, u)| (name.as_str(), u))
    }

    /// Makes every relative path start at `folder`, which is that of the configuration file.
    ///
    /// The program of a `command` is left as it is: the operating system looks it up.
    pub fn anchor_paths(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.anchor(folder);
        }
        if let Some(takeover) = &mut self.takeover {
            *takeover = folder.join(&*takeover);
        }
        self.keys.anchor(folder);
        self.store.anchor(folder);
        self.admin.anchor(folder);
        self.audit.anchor(folder);
        self.auth.anchor(folder);
        if let Some(policy) = &mut self.policy {
            policy.anchor(folder);
        }
        if let Some(governance) = &mut self.governance {
            governance.anchor(folder);
        }
        self.checks.iter_mut().for_each(|rule| rule.anchor(folder));
        for upstream in self.upstreams.values_mut() {
            upstream.anchor(folder);
        }
    }
}
