/** Which page a URL shows. Each page is loaded when it is first gone to. */
import { Button } from '@mantine/core'
import { createRootRoute, createRoute, createRouter, Link, lazyRouteComponent } from '@tanstack/react-router'
import { Empty } from './components/Empty.tsx'
import { Problem } from './components/Problem.tsx'
import { Shell } from './layout/Shell.tsx'

/** Text by its name; anything else that a URL may say is not meant for us. */
const textOnly = (search: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(search).flatMap(([name, value]) =>
      ['string', 'number', 'boolean'].includes(typeof value) ? [[name, String(value)]] : [],
    ),
  )

const root = createRootRoute({
  component: Shell,
  validateSearch: textOnly,
  errorComponent: ({ error, reset }) => <Problem error={error} onRetry={reset} />,
  notFoundComponent: () => (
    <Empty title="There is no such page" text="The address may be mistyped, or be of another version.">
      <Button component={Link} to="/">
        To the dashboard
      </Button>
    </Empty>
  ),
})
type Module = Record<string, () => React.ReactNode>
const loads: (() => Promise<Module>)[] = []
const page = <P extends string>(path: P, load: () => Promise<Module>) => {
  loads.push(load)
  return createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load as never, 'default') })
}

const routes = [
  page('/', () => import('./pages/Dashboard.tsx')),
  page('/vms', () => import('./pages/VirtualMachines.tsx')),
  page('/vms/$id', () => import('./pages/VirtualMachine.tsx')),
  page('/restore', () => import('./pages/Restore.tsx')),
  page('/restore/$id', () => import('./pages/Browser.tsx')),
  page('/search', () => import('./pages/Search.tsx')),
  page('/jobs/$id/changes', () => import('./pages/Changes.tsx')),
  page('/jobs', () => import('./pages/Jobs.tsx')),
  page('/jobs/$id', () => import('./pages/Job.tsx')),
  page('/flows', () => import('./pages/Flows.tsx')),
  page('/flows/$id', () => import('./pages/Flow.tsx')),
  page('/groups', () => import('./pages/Groups.tsx')),
  page('/groups/$id', () => import('./pages/Group.tsx')),
  page('/schedules', () => import('./pages/Schedules.tsx')),
  page('/schedules/$id', () => import('./pages/Schedule.tsx')),
  page('/policies', () => import('./pages/Policies.tsx')),
  page('/policies/$id', () => import('./pages/Policy.tsx')),
  page('/repositories', () => import('./pages/Repositories.tsx')),
  page('/credentials', () => import('./pages/Credentials.tsx')),
  page('/notifications', () => import('./pages/Notifications.tsx')),
  page('/users', () => import('./pages/Users.tsx')),
  page('/tokens', () => import('./pages/Tokens.tsx')),
  page('/audit', () => import('./pages/Audit.tsx')),
  page('/about', () => import('./pages/About.tsx')),
] as const

/** Query values as they are written, without quotes round numbers. */
const parseSearch = (text: string) => Object.fromEntries(new URLSearchParams(text))
const stringifySearch = (search: Record<string, unknown>) => {
  const text = new URLSearchParams(
    Object.entries(search).flatMap(([name, value]) =>
      value === undefined || value === null || value === '' ? [] : [[name, String(value)]],
    ),
  ).toString()
  return text === '' ? '' : `?${text}`
}

export const router = createRouter({
  routeTree: root.addChildren([...routes]),
  defaultPreload: 'intent',
  scrollRestoration: true,
  parseSearch,
  stringifySearch,
})

/** The other pages come while nobody waits for them: a hub that is away for a moment keeps nobody from going to one. */
const restAfterMs = 2500
const stopListening = router.subscribe('onResolved', () => {
  stopListening()
  setTimeout(() => {
    // One that fails is loaded when it is gone to.
    for (const load of loads) load().catch(() => undefined)
  }, restAfterMs)
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}
