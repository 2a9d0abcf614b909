/** The files of the API pages, read once at start; nothing comes from another host. */
import { readFile } from 'node:fs/promises'

const contentTypes: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css',
  js: 'text/javascript',
  png: 'image/png',
}
const files = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png']

const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Sendense Hub API</title><link rel="stylesheet" href="swagger-ui.css"><link rel="icon" href="favicon-32x32.png"></head>
<body><div id="page"></div><script src="swagger-ui-bundle.js"></script><script src="start.js"></script></body>
</html>
`
const script = `window.ui = SwaggerUIBundle({ url: 'doc.json', dom_id: '#page', deepLinking: true })\n`

export const loadSwaggerAssets = async (
  projectRoot: URL,
): Promise<Map<string, { contentType: string; data: Buffer }>> => {
  const folder = new URL('node_modules/swagger-ui-dist/', projectRoot)
  const assets = new Map<string, { contentType: string; data: Buffer }>()
  const add = (name: string, data: Buffer) =>
    assets.set(name, { contentType: contentTypes[name.split('.').at(-1)!]!, data })
  for (const name of files) add(name, await readFile(new URL(name, folder)))
  add('index.html', Buffer.from(page))
  add('start.js', Buffer.from(script))
  return assets
}
