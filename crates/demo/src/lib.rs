//! A small MCP server that speaks every revision: the built-in demo upstream and the tests' fake server.
