//! What entities are called in policies.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::{Action, Question, Target, Who};

/// The types of the schema.
#[derive(Debug)]
pub(crate) struct Types {
    pub tenant: EntityTypeName,
    pub group: EntityTypeName,
    pub client: EntityTypeName,
    pub endpoint: EntityTypeName,
    pub upstream: EntityTypeName,
    pub user: EntityTypeName,
    pub workload: EntityTypeName,
    pub operator: EntityTypeName,
    pub anonymous: EntityTypeName,
    pub tool: EntityTypeName,
    pub prompt: EntityTypeName,
    pub resource: EntityTypeName,
    pub task: EntityTypeName,
    pub office: EntityTypeName,
    pub action: EntityTypeName,
}

/// They.
pub(crate) static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let name = |text: &str| text.parse().expect("a type's name");
    Types {
        tenant: name("Tenant"),
        group: name("Group"),
        client: name("Client"),
        endpoint: name("Endpoint"),
        upstream: name("Upstream"),
        user: name("User"),
        workload: name("Workload"),
        operator: name("Operator"),
        anonymous: name("Anonymous"),
        tool: name("Tool"),
        prompt: name("Prompt"),
        resource: name("Resource"),
        task: name("Task"),
        office: name("Office"),
        action: name("Action"),
    }
});

/// An entity's name.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// An entity's name that has two parts.
pub(crate) fn uid2(kind: &EntityTypeName, first: &str, second: &str) -> EntityUid {
    uid(kind, &[first, "/", second].concat())
}

/// The type of a principal; `None` where it is none of the schema.
pub(crate) fn principal_type(who: &Who<'_>) -> Option<&'static EntityTypeName> {
    match who.kind {
        "user" => Some(&TYPES.user),
        "workload" => Some(&TYPES.workload),
        "operator" => Some(&TYPES.operator),
        "anonymous" => Some(&TYPES.anonymous),
        _ => None,
    }
}

/// The type of what is asked for.
pub(crate) fn target_type(action: Action, target: &Target<'_>) -> &'static EntityTypeName {
    match action {
        Action::CallTool => &TYPES.tool,
        Action::GetPrompt => &TYPES.prompt,
        Action::ReadResource => &TYPES.resource,
        Action::UseTask => &TYPES.task,
        Action::Approve if !target.upstream.is_empty() => &TYPES.tool,
        Action::View | Action::Operate | Action::Administer | Action::Approve | Action::Explain => {
            &TYPES.office
        }
    }
}

/// What is asked for.
pub(crate) fn target_uid(question: &Question<'_>) -> EntityUid {
    let target = &question.target;
    let kind = target_type(question.action, target);
    if *kind == TYPES.office { uid(kind, target.name) } else { uid2(kind, target.upstream, target.name) }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CallTool,
        Self::GetPrompt,
        Self::ReadResource,
        Self::UseTask,
        Self::View,
        Self::Operate,
        Self::Administer,
        Self::Approve,
        Self::Explain,
    ];

    /// Its name in policies: `call_tool` is `Action::"call_tool"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallTool => "call_tool",
            Self::GetPrompt => "get_prompt",
            Self::ReadResource => "read_resource",
            Self::UseTask => "use_task",
            Self::View => "view",
            Self::Operate => "operate",
            Self::Administer => "administer",
            Self::Approve => "approve",
            Self::Explain => "explain",
        }
    }

    /// The action of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// The group of actions that it is in: `Action::"use"` or `Action::"govern"`.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::CallTool | Self::GetPrompt | Self::ReadResource | Self::UseTask => "use",
            Self::View | Self::Operate | Self::Administer | Self::Approve | Self::Explain => "govern",
        }
    }
}
