//! What is published about endpoints.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is published about endpoints, for those who look before they connect.
///
/// `docs/discovery.md` tells what is where. Nothing of what is behind an endpoint is ever a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// What is said about endpoints, by the endpoint's name; `mcp` is the endpoint of everything.
    ///
    /// An endpoint that is not named is published nowhere. Since 0.1.
    pub cards: IndexMap<String, Card>,

    /// Whether cards and entries of the registry declare if one has to say who one is.
    ///
    /// The form is that of a draft (SEP-2742), and others may not know it. Since 0.1.
    pub experimental_auth: bool,

    /// Whether endpoints of several upstreams answer `groups/list`, and each entry of their lists names its
    /// group.
    ///
    /// Each upstream is a group. The form is that of a draft (SEP-2084), and others may not know it.
    /// Since 0.1.
    pub experimental_groups: bool,
}

/// What is said about an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// Its name for the world: a domain of yours backwards, a slash, a name (`com.example/crm`).
    ///
    /// Clients that connect are told the same name. Since 0.1.
    pub name: String,

    /// Its version, one and no range: `1.0.0`. Another text is another version.
    ///
    /// The registry tells of a version that is replaced as deleted. Since 0.1.
    pub version: String,

    /// Its name for people, in at most 100 characters.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,

    /// What it is for, in 1 to 100 characters.
    ///
    /// Since 0.1.
    pub description: String,

    /// The URL of its page.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,

    /// Its pictures.
    ///
    /// Since 0.1.
    pub icons: Vec<CardIcon>,

    /// Where its source is, for whoever wants to read it.
    ///
    /// By default nothing is said. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<CardRepository>,

    /// Who may know of it.
    ///
    /// Since 0.1.
    pub visibility: CardVisibility,
}

/// A picture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CardIcon {
    /// Where it is: a URL with `https`.
    ///
    /// Since 0.1.
    pub src: String,

    /// Its media type: `image/png`, `image/jpeg`, `image/svg+xml` or `image/webp`.
    ///
    /// By default nothing is said. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,

    /// Its sizes: `48x48`, or `any`.
    ///
    /// Since 0.1.
    pub sizes: Vec<String>,

    /// The background that it is for: `light` or `dark`.
    ///
    /// By default any. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
}

/// A repository of source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CardRepository {
    /// Its URL, for a browser and for `git clone`.
    ///
    /// Since 0.1.
    pub url: String,

    /// The service that has it: `github`.
    ///
    /// Since 0.1.
    pub source: String,

    /// The folder of the server in it.
    ///
    /// By default its root. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subfolder: Option<String>,

    /// What the service calls it by, which another one under the same URL would not have.
    ///
    /// By default nothing is said. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Who may know of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CardVisibility {
    /// Everybody: it has a card, and stands in the catalog and in the registry.
    Public,
    /// Whoever would be let in at the endpoint by what he shows: it stands in the registry for him alone.
    #[default]
    Private,
    /// Nobody: as if the section were not there.
    Off,
}

impl Discovery {
    /// The cards that somebody may see, in the file's order.
    pub fn told(&self) -> impl Iterator<Item = (&str, &Card)> {
        let told = |(_, card): &(&String, &Card)| card.visibility != CardVisibility::Off;
        self.cards.iter().filter(told).map(|(name, card)| (name.as_str(), card))
    }
}
