//! The methods of all revisions, and what the gateway must know of each.

use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A request's or notification's method.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $name,)*
            /// One that we do not know and pass on where there is somewhere to pass it.
            Other(Box<str>),
        }

        impl Method {
            /// The names of all that we know.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// Reads a method's name.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other(text.into()),
                }
            }

            /// The method's name, as on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The name of a method that we know: a word from a small set.
            #[must_use]
            pub fn known(&self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
}

methods! {
    /// Modern: what a server is and can do.
    Discover = "server/discover",
    /// Tools, by page.
    ToolsList = "tools/list",
    /// A tool call.
    ToolsCall = "tools/call",
    /// Resources, by page.
    ResourcesList = "resources/list",
    /// Resource templates, by page.
    TemplatesList = "resources/templates/list",
    /// A resource's contents.
    ResourcesRead = "resources/read",
    /// Prompts, by page.
    PromptsList = "prompts/list",
    /// A prompt's messages.
    PromptsGet = "prompts/get",
    /// Completion of an argument.
    Complete = "completion/complete",
    /// Modern: a stream of change notifications.
    Listen = "subscriptions/listen",
    /// Tasks extension and 2025-11-25: a task's state.
    TasksGet = "tasks/get",
    /// Tasks extension: answers to a task's questions.
    TasksUpdate = "tasks/update",
    /// Tasks extension and 2025-11-25: stop, please.
    TasksCancel = "tasks/cancel",
    /// 2025-11-25: a task's result, once there is one.
    TasksResult = "tasks/result",
    /// 2025-11-25: the caller's tasks.
    TasksList = "tasks/list",
    /// Legacy: the handshake.
    Initialize = "initialize",
    /// Legacy: are you there?
    Ping = "ping",
    /// Legacy: the session's log level.
    SetLevel = "logging/setLevel",
    /// Legacy: tell me when this resource changes.
    Subscribe = "resources/subscribe",
    /// Legacy: no longer.
    Unsubscribe = "resources/unsubscribe",
    /// A question to the user, by form or URL.
    Elicit = "elicitation/create",
    /// A question to the client's model.
    Sample = "sampling/createMessage",
    /// A question for the client's roots.
    RootsList = "roots/list",
    /// Legacy: the handshake is done.
    Initialized = "notifications/initialized",
    /// A request is no longer wanted.
    Cancelled = "notifications/cancelled",
    /// How far a request has come.
    Progress = "notifications/progress",
    /// A log message.
    LogMessage = "notifications/message",
    /// The list of tools changed.
    ToolsChanged = "notifications/tools/list_changed",
    /// The list of prompts changed.
    PromptsChanged = "notifications/prompts/list_changed",
    /// The list of resources or templates changed.
    ResourcesChanged = "notifications/resources/list_changed",
    /// A resource's contents changed.
    ResourceUpdated = "notifications/resources/updated",
    /// Legacy: the client's roots changed.
    RootsChanged = "notifications/roots/list_changed",
    /// Legacy 2025-11-25: an out-of-band question was dealt with.
    ElicitComplete = "notifications/elicitation/complete",
    /// Modern: which subscriptions a stream carries.
    Acknowledged = "notifications/subscriptions/acknowledged",
    /// Tasks extension: a task's new state.
    TaskChanged = "notifications/tasks",
    /// 2025-11-25: a task's new state.
    TaskStatus = "notifications/tasks/status",
}

impl Method {
    /// The member of `params` that the `Mcp-Name` header repeats (transports, "Standard headers"; SEP-2663
    /// for tasks).
    #[must_use]
    pub fn mirrored(&self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }

    /// Whether a modern server may answer with questions (MRTR), or, in a task of 2025-11-25, a server of
    /// that revision ask what the task needs to know (tasks, "Input Required Status").
    #[must_use]
    pub fn may_ask(&self) -> bool {
        matches!(self, Self::ToolsCall | Self::ResourcesRead | Self::PromptsGet | Self::TasksResult)
    }

    /// Whether a modern `complete` result must carry `ttlMs` and `cacheScope` (server/utilities/caching).
    #[must_use]
    pub fn cacheable(&self) -> bool {
        self.list_member().is_some() || matches!(self, Self::Discover | Self::ResourcesRead)
    }

    /// The member of a list result that holds the items.
    #[must_use]
    pub fn list_member(&self) -> Option<&'static str> {
        match self {
            Self::ToolsList => Some("tools"),
            Self::ResourcesList => Some("resources"),
            Self::TemplatesList => Some("resourceTemplates"),
            Self::PromptsList => Some("prompts"),
            _ => None,
        }
    }

    /// Whether a modern client may send it as a request (the core's requests and those of extensions we
    /// know).
    #[must_use]
    pub fn modern_request(&self) -> bool {
        matches!(
            self,
            Self::Discover
                | Self::ToolsList
                | Self::ToolsCall
                | Self::ResourcesList
                | Self::TemplatesList
                | Self::ResourcesRead
                | Self::PromptsList
                | Self::PromptsGet
                | Self::Complete
                | Self::Listen
                | Self::TasksGet
                | Self::TasksUpdate
                | Self::TasksCancel
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
