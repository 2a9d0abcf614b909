/** Builds the console to static files. Usage: vite build gui --outDir <folder> */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

/** Gzipped once, here, and not with every request. */
const gzipBesides = (): Plugin => ({
  name: 'gzip-besides',
  writeBundle: ({ dir }) => {
    for (const name of readdirSync(dir!, { recursive: true }) as string[])
      if (/\.(js|css|svg)$/.test(name)) {
        const file = join(dir!, name)
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }))
      }
  },
})

export default defineConfig({
  plugins: [react(), gzipBesides()],
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    // Inlined files would need data: in the policy of more than images.
    assetsInlineLimit: 0,
    target: 'es2022',
    // Those know light-dark(); what stands in for it elsewhere does not see which colours were chosen.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1200,
  },
})
