/** A form in a dialog. The hub checks what is in it, and its words appear at their fields. */
import {
  Button,
  Group,
  Modal,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Stack,
  Switch,
  Textarea,
  TextInput,
} from '@mantine/core'
import { type FormEvent, type ReactNode, useState } from 'react'
import { ApiError } from '../api/client.ts'
import { Problem } from './Problem.tsx'
import { sayDone } from './say.ts'
import { VmMultiSelect, VmSelect } from './VmSelect.tsx'

type Value = string | number | boolean | string[] | null
export type Values = Record<string, Value>
export type Field = {
  name: string
  label: string
  kind?: 'text' | 'password' | 'number' | 'switch' | 'select' | 'many' | 'textarea' | 'vm' | 'vms'
  description?: ReactNode
  required?: boolean
  placeholder?: string
  options?: { value: string; label: string }[]
  min?: number
  max?: number
  /** Machines that are not offered. */
  without?: ReadonlySet<string>
  /** Shown only then. */
  when?: (values: Values) => boolean
  /** Below the field, as its value is now. */
  note?: (value: Value, values: Values) => ReactNode
}

const Input = ({
  field,
  value,
  error,
  isFirst,
  onChange,
}: {
  field: Field
  isFirst: boolean
  value: Value
  error: string | undefined
  onChange: (value: Value) => void
}) => {
  const { name, label, kind = 'text', required = false, placeholder, options = [], description, min, max } = field
  const common = {
    label,
    description,
    error,
    required,
    name,
    withAsterisk: required,
    placeholder,
    'data-autofocus': isFirst || undefined,
  }
  switch (kind) {
    case 'switch':
      return (
        <Switch
          label={label}
          description={description}
          error={error}
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      )
    case 'number':
      return (
        <NumberInput
          {...common}
          min={min}
          max={max}
          value={typeof value === 'number' ? value : ''}
          onChange={(next) => onChange(next === '' ? null : Number(next))}
        />
      )
    case 'select':
      return (
        <Select
          {...common}
          data={options}
          value={typeof value === 'string' ? value : null}
          onChange={(next) => onChange(next)}
          searchable={options.length > 7}
          clearable={!required}
          allowDeselect={!required}
          nothingFoundMessage="Nothing fits"
          comboboxProps={{ withinPortal: true }}
          limit={200}
        />
      )
    case 'many':
      return (
        <MultiSelect
          {...common}
          data={options}
          value={Array.isArray(value) ? value : []}
          onChange={onChange}
          searchable
          clearable
          limit={200}
        />
      )
    case 'vm':
      return <VmSelect {...common} value={typeof value === 'string' ? value : null} onChange={onChange} />
    case 'vms':
      return (
        <VmMultiSelect
          label={label}
          error={error}
          value={Array.isArray(value) ? value : []}
          onChange={onChange}
          without={field.without ?? new Set()}
        />
      )
    case 'textarea':
      return (
        <Textarea
          {...common}
          autosize
          minRows={2}
          maxRows={6}
          value={String(value ?? '')}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )
    case 'password':
      return (
        <PasswordInput
          {...common}
          autoComplete="new-password"
          value={String(value ?? '')}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )
    default:
      return (
        <TextInput {...common} value={String(value ?? '')} onChange={(event) => onChange(event.currentTarget.value)} />
      )
  }
}

export type FormDialogProps = {
  title: string
  fields: Field[]
  initial: Values
  action: string
  /** @returns what was done, in words */
  submit: (values: Values) => Promise<string>
  onClose: () => void
  /** Beside the main button: a test of what is in the form. */
  test?: { label: string; run: (values: Values) => Promise<ReactNode> }
  children?: ReactNode
}

export const FormDialog = ({ title, fields, initial, action, submit, onClose, test, children }: FormDialogProps) => {
  const [values, setValues] = useState<Values>(initial)
  const [error, setError] = useState<unknown>(null)
  const [tested, setTested] = useState<ReactNode>(null)
  const [busy, setBusy] = useState<'submit' | 'test' | null>(null)
  const shown = fields.filter(({ when }) => when?.(values) ?? true)
  const fieldErrors = error instanceof ApiError ? error.fieldErrors : {}
  const errorOf = (name: string) => fieldErrors[name]
  // What names a field of the form is said there; the rest above the buttons.
  const isSaidAtFields =
    Object.keys(fieldErrors).length > 0 &&
    Object.keys(fieldErrors).every((name) => shown.some((field) => field.name === name))

  const attempt = async (kind: 'submit' | 'test', work: () => Promise<void>) => {
    setBusy(kind)
    setError(null)
    setTested(null)
    try {
      await work()
    } catch (refused) {
      setError(refused)
    } finally {
      setBusy(null)
    }
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    void attempt('submit', async () => {
      sayDone(await submit(values))
      onClose()
    })
  }
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeOnClickOutside={false}>
      <form onSubmit={onSubmit}>
        <Stack gap="md">
          {shown.map((field, at) => (
            <div key={field.name}>
              <Input
                field={field}
                isFirst={at === 0}
                value={values[field.name] ?? null}
                error={errorOf(field.name)}
                onChange={(value) => setValues((before) => ({ ...before, [field.name]: value }))}
              />
              {field.note?.(values[field.name] ?? null, values)}
            </div>
          ))}
          {children}
          {tested}
          {error !== null && !isSaidAtFields && <Problem error={error} />}
          <Group justify="flex-end">
            {test && (
              <Button
                variant="default"
                mr="auto"
                loading={busy === 'test'}
                onClick={() => void attempt('test', async () => setTested(await test.run(values)))}
              >
                {test.label}
              </Button>
            )}
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={busy === 'submit'}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
