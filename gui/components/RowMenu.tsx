import { ActionIcon, type ActionIconProps, Menu } from '@mantine/core'
import { type Icon, IconDots } from '@tabler/icons-react'
import { type ComponentPropsWithoutRef, useEffect, useState } from 'react'

export type RowAction = { label: string; icon: Icon; onClick: () => void; disabled?: boolean; isDangerous?: boolean }

const Dots = ({ name, ...props }: { name: string } & ActionIconProps & ComponentPropsWithoutRef<'button'>) => (
  <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${name}`} {...props}>
    <IconDots size={18} aria-hidden />
  </ActionIcon>
)

/** What can be done with one row. The menu is made when it is first asked for: those of a long table took most of its time. */
export const RowMenu = ({ name, actions }: { name: string; actions: RowAction[] }) => {
  const [isMade, setMade] = useState(false)
  const [isOpen, setOpen] = useState(false)
  // Opened only after it was made: a menu that begins open does not know where the focus was, and could not give it back.
  useEffect(() => setOpen(isMade), [isMade])
  if (!isMade) return <Dots name={name} aria-haspopup="menu" aria-expanded={false} onClick={() => setMade(true)} />
  return (
    <Menu position="bottom-end" withinPortal opened={isOpen} onChange={setOpen}>
      <Menu.Target>
        {/* It takes the place of the button that was pressed, and its focus. */}
        <Dots name={name} autoFocus />
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
}
