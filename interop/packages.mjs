// What the examples use of the packages that are pinned here, as node looks for packages beside a file alone.
export { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
export { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
export { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
export * as jose from 'jose';
export { default as Provider } from 'oidc-provider';
export { z } from 'zod';
