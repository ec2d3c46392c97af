//! Connectors to MCP servers of either era, era detection, health.
