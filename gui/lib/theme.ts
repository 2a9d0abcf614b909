import { createTheme, type MantineColorsTuple } from '@mantine/core'

/** A teal that carries white text at 4.5 : 1 from its seventh shade on. */
const teal: MantineColorsTuple = [
  '#e3fafc',
  '#c5f1f5',
  '#99e4ec',
  '#66d3df',
  '#3bbfce',
  '#1aa3b5',
  '#0f8a9c',
  '#0b7285',
  '#095c6b',
  '#074a57',
]

export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 7, dark: 7 },
  colors: { teal },
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace',
  autoContrast: true,
  cursorType: 'pointer',
  components: {
    Modal: { defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } },
    Drawer: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
    PasswordInput: {
      defaultProps: { visibilityToggleButtonProps: { tabIndex: 0, 'aria-label': 'Show what is written' } },
    },
    Tooltip: { defaultProps: { withArrow: true, openDelay: 300, events: { hover: true, focus: true, touch: true } } },
  },
})
