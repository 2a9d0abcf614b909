/** A line over time. */
import { useMantineColorScheme } from '@mantine/core'
import { useElementSize } from '@mantine/hooks'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

/** As exact as the span that is shown needs it. */
const momentOf = (at: number, spanSeconds: number) =>
  new Date(at * 1000).toLocaleString(
    undefined,
    spanSeconds < 600
      ? { timeStyle: 'medium' }
      : spanSeconds < 86_400
        ? { timeStyle: 'short' }
        : { day: 'numeric', month: 'short' },
  )

type Props = {
  label: string
  /** Unix seconds, rising. */
  times: number[]
  values: (number | null)[]
  format: (value: number) => string
  height?: number
  isBars?: boolean
}

const Chart = ({ label, times, values, format, height = 160, isBars = false }: Props) => {
  const { ref, width } = useElementSize()
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const { colorScheme } = useMantineColorScheme()
  useEffect(() => {
    if (!box.current || width === 0) return
    const style = getComputedStyle(document.documentElement)
    const [text, grid] = [
      style.getPropertyValue('--mantine-color-text'),
      style.getPropertyValue('--mantine-color-default-border'),
    ]
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } }
    const chart = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [
          { ...axis, space: 90, values: (_, ticks) => ticks.map((at) => momentOf(at, ticks.at(-1)! - ticks[0]!)) },
          { ...axis, size: 84, values: (_, ticks) => ticks.map(format) },
        ],
        series: [
          {},
          {
            label,
            stroke: '#0f8a9c',
            width: 2,
            fill: 'rgba(15, 138, 156, 0.18)',
            ...(isBars && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [0.6, 40] }) } : {}),
            points: { show: false },
          },
        ],
      },
      [[], []],
      box.current,
    )
    plot.current = chart
    return () => {
      chart.destroy()
      plot.current = null
    }
  }, [width, height, label, format, isBars, colorScheme])
  useEffect(() => {
    plot.current?.setData([times, values])
  }, [times, values, width, colorScheme])
  const last = values.findLast((value) => value !== null)
  return (
    <div
      ref={ref}
      role="img"
      aria-label={`${label}${last === undefined || last === null ? '' : `, last ${format(last)}`}`}
    >
      <div ref={box} aria-hidden />
    </div>
  )
}
export default Chart
