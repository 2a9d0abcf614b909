/**
 * Bundles the readers of guests' filesystems, those of sandboxes and of throw-away machines: a process that begins with few files takes half of the processor that many take,
 * and one of them is made for each mount.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  ssr: { noExternal: true },
  build: {
    ssr: true,
    target: 'node20',
    minify: true,
    reportCompressedSize: false,
    rollupOptions: {
      input: {
        sandbox: source('sandbox/reader.ts'),
        machine: source('machine/reader.ts'),
        'folder-worker': source('files/folder-worker.ts'),
      },
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js' },
    },
  },
  plugins: [
    {
      name: 'says what they are',
      // Without it Node reads each as one thing first, and then as the other.
      generateBundle() {
        this.emitFile({ type: 'asset', fileName: 'package.json', source: '{ "type": "module" }\n' })
      },
    },
  ],
})
