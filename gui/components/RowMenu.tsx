import { ActionIcon, Menu } from '@mantine/core'
import { type Icon, IconDots } from '@tabler/icons-react'

export type RowAction = { label: string; icon: Icon; onClick: () => void; disabled?: boolean; isDangerous?: boolean }

/** What can be done with one row. */
export const RowMenu = ({ name, actions }: { name: string; actions: RowAction[] }) => (
  <Menu position="bottom-end" withinPortal>
    <Menu.Target>
      <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${name}`}>
        <IconDots size={18} aria-hidden />
      </ActionIcon>
    </Menu.Target>
    <Menu.Dropdown>
      {actions.map(({ label, icon: Picture, onClick, disabled = false, isDangerous = false }) => (
        <Menu.Item
          key={label}
          leftSection={<Picture size={16} aria-hidden />}
          onClick={onClick}
          disabled={disabled}
          color={isDangerous ? 'var(--mantine-color-error)' : undefined}
        >
          {label}
        </Menu.Item>
      ))}
    </Menu.Dropdown>
  </Menu>
)
