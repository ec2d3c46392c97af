//! What a configuration can say, field by field.

/// Whether a format can say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Support {
    /// It means the same there, and comes back as it was.
    Kept,
    /// Nearly the same, and the sentence says how. What guards is no weaker.
    Partly(&'static str),
    /// There is no place for it; the sentence says what that means, [`Field::loss`] where it is empty.
    Dropped(&'static str),
}

/// What a field is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// A server.
    Server,
    /// What stands in a value in place of the value.
    Reference,
    /// What a gateway adds.
    Gateway,
}

macro_rules! fields {
    ($($field:ident, $part:ident, $guards:literal, $path:literal, $what:literal, $loss:literal;)*) => {
        /// Something that a configuration can say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $(#[doc = $what] $field,)*
        }

        impl Field {
            /// All, in the order of the matrix.
            pub const ALL: &[Self] = &[$(Self::$field),*];

            /// What it is of.
            #[must_use]
            pub const fn part(self) -> Part {
                match self { $(Self::$field => Part::$part,)* }
            }

            /// Whether it keeps somebody from doing something.
            #[must_use]
            pub const fn guards(self) -> bool {
                match self { $(Self::$field => $guards,)* }
            }

            /// Where it is in a server, or in a deployment: `tools.deny`.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$field => $path,)* }
            }

            /// What it is, for people.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$field => $what,)* }
            }

            /// What it means where a format has no place for it.
            #[must_use]
            pub const fn loss(self) -> &'static str {
                match self { $(Self::$field => $loss,)* }
            }
        }
    };
}

fields! {
    Stdio, Server, false, "transport", "A program to start",
        "the client starts no programs: the server is left out";
    Http, Server, false, "transport", "Streamable HTTP",
        "the client reaches no URLs: the server is left out";
    Sse, Server, false, "transport", "HTTP+SSE",
        "the client does not speak HTTP+SSE: the server is left out";
    Auto, Server, false, "transport", "A URL whose transport is found out",
        "the transport has to be said";
    WebSocket, Server, false, "transport", "WebSocket",
        "the protocol has no such transport: the server is left out";
    Title, Server, false, "title", "Name for people", "people see the server's key instead";
    Description, Server, false, "description", "Description", "people are not told what it is for";
    Cwd, Server, false, "cwd", "Working folder",
        "the program starts in the client's own folder: relative paths \
        mean something else";
    Env, Server, false, "env", "Variables", "the program does not get them";
    EnvFile, Server, false, "env_file", "File of variables",
        "the program does not get the variables of the file";
    Headers, Server, false, "headers", "Headers", "requests go without them";
    HeadersCommand, Server, false, "headers_command", "Command that prints headers",
        "nobody runs it: requests go without these headers";
    ForwardHeaders, Server, false, "forward_headers", "Headers of clients passed on",
        "they are not passed on";
    OauthClient, Server, false, "oauth.client_id", "OAuth client", "the client registers itself instead";
    OauthSecret, Server, false, "oauth.client_secret", "OAuth client's secret",
        "the client proves itself by nothing";
    OauthScopes, Server, true, "oauth.scopes", "OAuth scopes",
        "all scopes are asked for that the server names";
    OauthReturn, Server, false, "oauth.callback_port", "OAuth redirect",
        "users come back to where the client likes";
    OauthPlaces, Server, false, "oauth.metadata_url", "OAuth endpoints",
        "the authorization server is the one that the server names";
    OauthGrant, Server, false, "oauth.grant", "OAuth grant without a user", "a user has to sign in";
    Enabled, Server, true, "enabled", "Switched off", "the server would be used: it is left out instead";
    ToolsAllow, Server, true, "tools.allow", "Only these tools", "all its tools are offered";
    ToolsDeny, Server, true, "tools.deny", "Not these tools", "these tools are offered";
    TrustAll, Server, false, "trust.all", "No call is asked about", "every call is asked about";
    TrustTools, Server, false, "trust.tools", "Calls of these tools are not asked about",
        "calls of these tools are asked about";
    StartTimeout, Server, false, "timeouts.start_ms", "Time to start", "the client's own time holds";
    CallTimeout, Server, false, "timeouts.call_ms", "Time for a call", "the client's own time holds";
    ReadTimeout, Server, false, "timeouts.read_ms", "Time between pieces", "the client's own time holds";
    Package, Server, true, "package", "Package with version and digest",
        "nothing holds the program to that package";
    Container, Server, true, "container", "Container",
        "the program would run outside: the server is left out";
    Isolation, Server, true, "isolation", "What it may reach", "it may reach whatever the client may";
    TlsCa, Server, false, "tls", "Certificate authorities, client certificate",
        "the connection fails or goes without";
    EnvInValues, Reference, false, "env", "A variable in `env` and `headers`",
        "there would be the variable's name \
        in place of its value: it is left out";
    EnvInCommand, Reference, false, "command", "A variable in command, URL, folder",
        "there would be the variable's name in place of its value: the server is left out";
    EnvDefault, Reference, false, "env", "A default for a variable",
        "an unset variable is an error or empty";
    Input, Reference, false, "inputs", "What a user is asked for", "nobody asks: it is left out";
    File, Reference, false, "env", "The content of a file", "nobody reads the file: it is left out";
    Vault, Reference, false, "env", "A secret in a keyring or vault",
        "nobody looks there: it is left out";
    Place, Reference, false, "command", "The open folder, the user's home",
        "there would be the name in place of \
        the folder: it is left out";
    Listen, Gateway, false, "gateway.listen", "Where the gateway listens",
        "it listens where it does by default";
    Endpoints, Gateway, true, "gateway.endpoints", "Virtual servers",
        "callers see all servers, not a selection";
    EndpointTools, Gateway, true, "gateway.endpoints.tools", "Tools of a virtual server",
        "all tools are offered there";
    EndpointAliases, Gateway, false, "gateway.endpoints.aliases", "Other names of tools",
        "tools have their own names";
    EndpointWho, Gateway, true, "gateway.endpoints.who", "Who may use a virtual server",
        "every caller may";
    Rules, Gateway, true, "gateway.rules", "Policies",
        "nobody decides: whatever is offered may be called";
    Limits, Gateway, true, "gateway.limits", "Limits", "callers may do as much as they like";
    Issuers, Gateway, true, "gateway.issuers", "Whose tokens are taken", "callers have to prove nothing";
    Keys, Gateway, true, "gateway.keys", "Keys that are taken", "callers have to prove nothing";
    Checks, Gateway, true, "gateway.checks", "What is looked for in what passes",
        "nothing is looked for";
    Origins, Gateway, true, "gateway.origins", "Web pages that may call",
        "the program's own rule for pages holds";
    ListenTls, Gateway, true, "gateway.tls", "Certificate", "whoever listens on the network reads along";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_says_what_it_is_and_what_its_loss_means() {
        for field in Field::ALL {
            assert!(!field.what().is_empty() && !field.loss().is_empty(), "{field:?}");
            assert!(!field.loss().ends_with('.') && !field.loss().contains('\n'), "{field:?}");
        }
    }
}
