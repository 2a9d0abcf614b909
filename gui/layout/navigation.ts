import {
  type Icon,
  IconBell,
  IconCalendarClock,
  IconClipboardList,
  IconDatabase,
  IconDeviceDesktop,
  IconFileSearch,
  IconFileText,
  IconFolderOpen,
  IconInfoCircle,
  IconKey,
  IconLayoutDashboard,
  IconPlugConnected,
  IconRecycle,
  IconShieldCheck,
  IconStack2,
  IconUsers,
} from '@tabler/icons-react'
import type { Role } from '../../contract/api/auth.ts'

export type NavigationItem = { to: string; label: string; icon: Icon; role?: Role; keywords?: string }
/** All pages, as the side bar and the command palette show them. */
export const navigation: { title: string; items: NavigationItem[] }[] = [
  {
    title: '',
    items: [
      { to: '/', label: 'Dashboard', icon: IconLayoutDashboard, keywords: 'home overview status' },
      { to: '/vms', label: 'Virtual machines', icon: IconDeviceDesktop, keywords: 'vm backup discover' },
      { to: '/restore', label: 'Restore', icon: IconFolderOpen, keywords: 'mount browse file download' },
      { to: '/search', label: 'Search files', icon: IconFileSearch, keywords: 'find name version history' },
      { to: '/jobs', label: 'Jobs', icon: IconClipboardList, keywords: 'backups history logs running' },
    ],
  },
  {
    title: 'Protection',
    items: [
      { to: '/flows', label: 'Protection flows', icon: IconShieldCheck },
      { to: '/groups', label: 'Machine groups', icon: IconStack2 },
      { to: '/schedules', label: 'Schedules', icon: IconCalendarClock, keywords: 'cron time' },
      { to: '/policies', label: 'Policies', icon: IconRecycle, keywords: 'retention copies keep' },
    ],
  },
  {
    title: 'Infrastructure',
    items: [
      { to: '/repositories', label: 'Repositories', icon: IconDatabase, keywords: 'storage nfs cifs' },
      { to: '/credentials', label: 'Credentials', icon: IconPlugConnected, keywords: 'vcenter source' },
    ],
  },
  {
    title: 'Administration',
    items: [
      { to: '/notifications', label: 'Notifications', icon: IconBell, role: 'admin', keywords: 'mail webhook' },
      { to: '/users', label: 'Users', icon: IconUsers, role: 'admin' },
      { to: '/tokens', label: 'API tokens', icon: IconKey },
      { to: '/audit', label: 'Audit log', icon: IconFileText, role: 'admin' },
      { to: '/about', label: 'Settings and about', icon: IconInfoCircle, keywords: 'health version doctor password' },
    ],
  },
]
